//! What a change of rights would do, before it is done: who would gain and lose what, as far as the caller may see them.

use crate::authority::{Cx, Effects};
use crate::failure::Failure;
use access::Action;
use base::{OrgId, UserId};
use serde::Serialize;
use std::collections::BTreeMap;
use store::orgs;

/// What somebody would gain and lose at an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Who.
    pub user: UserId,
    /// Their name.
    pub name: String,
    /// Where.
    pub org: OrgId,
    /// Name of that organisation.
    pub org_name: String,
    /// `self`: there only; `below`: at what lies below it; `subtree`: both.
    pub reach: &'static str,
    /// What they could do then.
    pub gains: Vec<&'static str>,
    /// What they could not do any more.
    pub loses: Vec<&'static str>,
}

/// The answer to a change that was only tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// By name and place. Empty: nobody gains or loses anything, or nobody whom the caller may see.
    pub changes: Vec<Difference>,
    /// Whether everybody was compared: at most 1,000 people are.
    pub is_complete: bool,
}

/// What came of an act that was done in a context of [`Cx::previewing`].
///
/// # Errors
/// What the act itself would be refused with.
pub async fn outcome<T>(cx: &Cx, result: Result<T, Failure>) -> Result<Tried, Failure> {
    match (of(cx).await?, result) {
        (Some(tried), _) => Ok(tried),
        (None, Err(failure)) => Err(failure),
        (None, Ok(_)) => Ok(Tried { changes: Vec::new(), is_complete: true }),
    }
}

/// What a change would do that came as far as its commit in a context of [`Cx::previewing`]; `None` when none did.
///
/// # Errors
/// [`Failure`].
pub async fn of(cx: &Cx) -> Result<Option<Tried>, Failure> {
    match cx.preview.take() {
        Some(effects) => shown(cx, effects).await.map(Some),
        None => Ok(None),
    }
}

async fn shown(cx: &Cx, effects: Effects) -> Result<Tried, Failure> {
    let mut tx = cx.look_around().await?;
    let mut seen: BTreeMap<UserId, bool> = BTreeMap::new();
    let mut changes = Vec::new();
    for row in effects.rows {
        let sees_person = match seen.get(&row.user) {
            Some(sees) => *sees,
            None => {
                let mut sees = row.user == cx.user();
                for place in &row.places {
                    sees = sees || cx.may(Action::UserRead, *place).await;
                }
                seen.insert(row.user, sees);
                sees
            }
        };
        if !sees_person || !cx.may(Action::OrgRead, row.org).await {
            continue;
        }
        let codes = |actions: Vec<Action>| actions.into_iter().map(Action::code).collect();
        changes.push(Difference {
            user: row.user,
            name: row.name,
            org: row.org,
            org_name: orgs::get(&mut tx, row.org).await?.name,
            reach: match row.reach {
                (true, true) => "subtree",
                (true, false) => "self",
                _ => "below",
            },
            gains: codes(row.gains),
            loses: codes(row.loses),
        });
    }
    changes.sort_by(|one, other| (&one.name, one.user, &one.org_name).cmp(&(&other.name, other.user, &other.org_name)));
    Ok(Tried { changes, is_complete: effects.is_complete })
}
