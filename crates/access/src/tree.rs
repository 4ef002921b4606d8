//! The tree's own rules: names, depth, moves, states.

use base::OrgId;

/// Levels of a tree, root included.
pub const DEPTH_MAX: usize = 16;
/// Children of one organisation.
pub const CHILDREN_MAX: i64 = 10_000;

/// Why the tree cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Too deep.
    #[error("depth_limit: a tree has 16 levels, this would make {depth}")]
    Depth {
        /// Levels that it would have.
        depth: usize,
    },
    /// Below itself.
    #[error("cycle: an organisation cannot stand under itself")]
    Cycle,
    /// The root.
    #[error("the root of a tree stays where it is")]
    Root,
}

/// Whether a child may be made under an organisation with this path (root first, itself last).
///
/// # Errors
/// [`TreeError::Depth`].
pub fn check_child(parent_path: &[OrgId]) -> Result<(), TreeError> {
    check_depth(parent_path.len() + 1)
}

/// Whether `org`, whose subtree has `height` levels (itself included), may stand under the organisation
/// with path `parent_path`.
///
/// # Errors
/// [`TreeError`].
pub fn check_move(org: OrgId, root: OrgId, height: usize, parent_path: &[OrgId]) -> Result<(), TreeError> {
    if org == root {
        return Err(TreeError::Root);
    }
    if parent_path.contains(&org) {
        return Err(TreeError::Cycle);
    }
    check_depth(parent_path.len() + height)
}

fn check_depth(depth: usize) -> Result<(), TreeError> {
    if depth > DEPTH_MAX { Err(TreeError::Depth { depth }) } else { Ok(()) }
}

/// A closed list of words that are stored and sent.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident $code:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $vdoc])+ $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word stored and sent.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Reads the word.
            #[must_use]
            pub fn from_code(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.code() == text)
            }
        }
    };
}

words! {
    /// State of an organisation. What is suspended or about to be deleted makes everything below it so.
    OrgState {
        /// In use.
        Active "active",
        /// Its people can look and pay, nothing else.
        Suspended "suspended",
        /// Can be restored until a date.
        PendingDeletion "pending_deletion",
        /// Gone; its papers and its log remain.
        Deleted "deleted",
    }
}

words! {
    /// Who runs an organisation.
    AdminMode {
        /// Its own admins: at least one always remains.
        Own "own",
        /// The admins above it; it may have none.
        Inherited "inherited",
    }
}

words! {
    /// Whether people must have a second factor. A child may only be stricter.
    MfaPolicy {
        /// Not offered.
        Off "off",
        /// Offered.
        Optional "optional",
        /// Who has none can do nothing but set one up.
        Required "required",
    }
}

words! {
    /// What the S3 gateway does for a suspended organisation.
    GatewayRule {
        /// Refuses everything.
        Deny "deny",
        /// Refuses writes.
        ReadOnly "read_only",
        /// Goes on.
        Continue "continue",
    }
}

/// A short name for addresses and directories: lower-case letters, digits and hyphens, made from a name.
#[must_use]
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let cut: String = slug.chars().take(63).collect();
    let cut = cut.trim_end_matches('-');
    if cut.len() < 2 { format!("org-{cut}").trim_end_matches('-').to_owned() } else { cut.to_owned() }
}

/// Whether a slug has the form `[a-z0-9][a-z0-9-]{1,62}`.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (2..=63).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a display name is fit: 1 to 128 characters, no control characters, none of `+ = @`.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if !(1..=128).contains(&name.trim().chars().count()) {
        return Err("must have 1 to 128 characters");
    }
    if name.chars().any(|c| c.is_control() || "+=@".contains(c)) {
        return Err("must not contain control characters or any of + = @");
    }
    if base::text::deceiver(name).is_some() {
        return Err("must not contain characters that are not seen or turn the others round");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(length: u128) -> Vec<OrgId> {
        (1..=length).map(OrgId).collect()
    }

    #[test]
    fn t01_a_child_below_level_sixteen_is_refused() {
        assert_eq!(check_child(&path(15)), Ok(()));
        assert_eq!(check_child(&path(16)), Err(TreeError::Depth { depth: 17 }));
    }

    #[test]
    fn t03_a_subtree_must_fit_where_it_goes() {
        assert_eq!(check_move(OrgId(99), OrgId(1), 4, &path(12)), Ok(()));
        assert_eq!(check_move(OrgId(99), OrgId(1), 5, &path(12)), Err(TreeError::Depth { depth: 17 }));
        assert_eq!(check_move(OrgId(3), OrgId(1), 1, &path(5)), Err(TreeError::Cycle));
        assert_eq!(check_move(OrgId(1), OrgId(1), 1, &path(5)), Err(TreeError::Root));
    }

    #[test]
    fn slugs_come_from_names() {
        for (name, want) in [
            ("Acme GmbH & Co. KG", "acme-gmbh-co-kg"),
            ("  Ünïcode 7 ", "n-code-7"),
            ("x", "org-x"),
            ("!!", "org"),
            ("A--B", "a-b"),
        ] {
            let slug = slug_of(name);
            assert_eq!(slug, want);
            assert!(is_slug(&slug), "{slug}");
        }
        assert!(!is_slug("-a") && !is_slug("a") && !is_slug("A1") && !is_slug(&"a".repeat(64)));
    }

    #[test]
    fn t66_names_hold_none_of_the_reserved_characters() {
        let hidden = ["Ac\u{200b}me", "x\u{202e}evil", "\u{feff}Acme", "a\u{2066}b"];
        for bad in ["a@b", "a+b", "a=b", "", "  ", "a\nb", &"x".repeat(129)].into_iter().chain(hidden) {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_name("Finance, EMEA"), Ok(()));
    }
}
