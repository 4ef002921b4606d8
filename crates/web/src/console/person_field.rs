//! The field in which somebody is named: by address, name or id. A select of everybody would be as long as the
//! address book.

use crate::auth::Visitor;
use app::people;
use app::rows::User;
use base::{OrgId, UserId};

/// People that the browser suggests while one types.
const SUGGESTED: usize = 50;

/// Somebody who is suggested.
pub(super) struct Suggestion {
    /// What stands in the field.
    pub(super) value: String,
    pub(super) label: String,
}

/// Who is suggested at `org`: none where the visitor may not see people.
pub(super) async fn suggestions(visitor: &Visitor, org: OrgId) -> Vec<Suggestion> {
    let found = people::first(&visitor.0.cx, org, SUGGESTED).await.unwrap_or_default();
    found.iter().map(suggestion).collect()
}

fn suggestion(user: &User) -> Suggestion {
    let value = if user.email.is_empty() { user.id.to_string() } else { user.email.clone() };
    Suggestion { value, label: user.display_name.clone() }
}

/// Who is suggested where only those who belong to `org` itself can be meant.
pub(super) async fn suggestions_here(visitor: &Visitor, org: OrgId) -> Vec<Suggestion> {
    let found = people::first_here(&visitor.0.cx, org, SUGGESTED).await.unwrap_or_default();
    found.iter().map(suggestion).collect()
}

/// Whom a field means. The visitor themselves can always be named.
pub(super) async fn person(visitor: &Visitor, org: OrgId, field: &str, text: &str) -> Result<UserId, app::Failure> {
    let text = text.trim();
    if let Ok(user) = text.parse() {
        return Ok(user); // Whoever uses it looks them up with the visitor's eyes.
    }
    if !text.is_empty() && text.eq_ignore_ascii_case(&visitor.0.user.email) {
        return Ok(visitor.0.user.id);
    }
    people::named(&visitor.0.cx, org, field, text).await
}
