//! An organisation of its own always keeps somebody who can run it.

use base::UserId;

/// Somebody who was given Organization Admin at an organisation, by himself or through a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub user: UserId,
    /// A person: a service cannot help anybody back in.
    pub is_human: bool,
    /// The account works.
    pub is_active: bool,
    /// His membership there works.
    pub is_member: bool,
    /// He has a password, a passkey or a working identity provider.
    pub can_sign_in: bool,
    /// When what he was given begins.
    pub not_before_us: Option<i64>,
    /// When it ends.
    pub not_after_us: Option<i64>,
}

impl Candidate {
    /// Whether he could act as admin at an instant.
    #[must_use]
    pub fn counts_at(&self, at_us: i64) -> bool {
        self.is_human
            && self.is_active
            && self.is_member
            && self.can_sign_in
            && self.not_before_us.is_none_or(|from| from <= at_us)
            && self.not_after_us.is_none_or(|until| at_us < until)
    }
}

/// Whether somebody can run the organisation at an instant.
#[must_use]
pub fn keeps_admin(candidates: &[Candidate], at_us: i64) -> bool {
    candidates.iter().any(|candidate| candidate.counts_at(at_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Candidate = Candidate {
        user: UserId(1),
        is_human: true,
        is_active: true,
        is_member: true,
        can_sign_in: true,
        not_before_us: None,
        not_after_us: None,
    };

    #[test]
    fn who_counts_as_admin() {
        for (candidate, want) in [
            (GOOD, true),
            (Candidate { is_human: false, ..GOOD }, false),
            (Candidate { is_active: false, ..GOOD }, false),
            (Candidate { is_member: false, ..GOOD }, false),
            (Candidate { can_sign_in: false, ..GOOD }, false),
            (Candidate { not_before_us: Some(11), ..GOOD }, false),
            (Candidate { not_after_us: Some(11), ..GOOD }, true),
            (Candidate { not_after_us: Some(10), ..GOOD }, false),
        ] {
            assert_eq!(keeps_admin(&[candidate], 10), want, "{candidate:?}");
        }
        assert!(!keeps_admin(&[], 10));
    }
}
