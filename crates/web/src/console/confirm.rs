//! What an act does, said before it is done. The form is sent once more with `sure`; without scripts, and without
//! anything being kept in between.

use super::frame::Page;
use askama::Template;

/// Stands between a button and an act that stops something or cannot be taken back.
#[derive(Template)]
#[template(path = "console/confirm.html")]
pub(super) struct Confirm {
    pub(super) page: Page,
    pub(super) heading: String,
    /// What stops, how many, which sum: a sentence each.
    pub(super) consequences: Vec<String>,
    /// Where the form is sent.
    pub(super) action: String,
    /// What is sent again.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) button: String,
    pub(super) back_href: String,
}

/// `1 access key`, `3 access keys`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
