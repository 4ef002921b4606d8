//! The refusal of one value: field, value, reason.

/// The longest part of a foreign value that is repeated.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// A value that was refused. The text is fit to be shown to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", explain(.field, .value, .reason))]
pub struct Rejected {
    /// Name of the field as the sender knows it.
    pub field: String,
    /// The value, cut and without control characters; empty for secrets and for what is not text.
    pub value: String,
    /// What is wrong, as the end of a sentence that begins with the field.
    pub reason: String,
}

impl Rejected {
    /// A refusal that repeats the value.
    pub fn new(field: impl Into<String>, value: &str, reason: impl Into<String>) -> Self {
        let shown = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARACTERS_MAX).collect();
        Self { field: field.into(), value: shown, reason: reason.into() }
    }

    /// A refusal of a secret or of something that is not text.
    pub fn silent(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), value: String::new(), reason: reason.into() }
    }
}

fn explain(field: &str, value: &str, reason: &str) -> String {
    if value.is_empty() { format!("{field} {reason}") } else { format!("{field} {value:?} {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_wild_values_are_cut() {
        let wild = format!("a\n{}", "b".repeat(200));
        assert_eq!(Rejected::new("name", &wild, "is too long").value.chars().count(), SHOWN_CHARACTERS_MAX);
        assert_eq!(Rejected::new("name", "a\nb", "is odd").to_string(), r#"name "a b" is odd"#);
        assert_eq!(Rejected::silent("code", "is wrong").to_string(), "code is wrong");
    }
}
