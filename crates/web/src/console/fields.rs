//! Fields of forms and addresses in which a name may come more than once: check boxes, statements of a
//! policy. Reading only; what they mean is said by the use cases.

use super::frame::Choice;
use app::Failure;
use base::{Period, Zone};
use serde::Deserialize;

/// What was sent, in order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a field; empty when it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Names and values, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a field was sent at all: a box that was ticked, a button that was pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The ticked words of a field.
    pub(super) fn words<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
        self.all(name).filter(|text| !text.is_empty()).map(|text| word(name, text, &read)).collect()
    }

    /// One word of a closed list.
    pub(super) fn word<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        word(name, self.get(name), read)
    }
}

fn word<T>(name: &str, text: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
    read(text).ok_or_else(|| Failure::invalid(name, text, "is not one of the words of this form"))
}

/// The lines of a text, trimmed, without empty ones.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Items with commas or on lines of their own.
pub(super) fn items(text: &str) -> Vec<String> {
    text.split(['\n', ',']).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// Boxes to tick: value, label, whether it is ticked.
pub(super) fn boxes<T: Copy>(
    all: &[T],
    word: impl Fn(T) -> (&'static str, &'static str),
    ticked: impl Fn(T) -> bool,
) -> Vec<Choice> {
    let choice = |item: &T| {
        let (value, label) = word(*item);
        Choice { value: value.to_owned(), label: label.to_owned(), selected: ticked(*item) }
    };
    all.iter().map(choice).collect()
}

/// The first instant of a day `2026-10-31` in a zone, and the first one after it.
pub(super) fn day(field: &str, text: &str, zone: &Zone) -> Result<Period, Failure> {
    let wrong = || Failure::invalid(field, text, "is not a day such as 2026-10-31");
    let month = Period::month(text.get(..7).ok_or_else(wrong)?, zone).map_err(|_| wrong())?;
    let days = month.days(zone).map_err(|_| wrong())?;
    days.into_iter().find(|day| zone.date_of(day.start_us) == text).ok_or_else(wrong)
}

/// A text as the value of a query.
pub(super) fn query_value(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_come_more_than_once() {
        let sent = [("a", "1"), ("b", "x"), ("a", "2")];
        let fields = Fields(sent.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((fields.get("b"), fields.get("c"), fields.has("c")), ("x", "", false));
        assert_eq!(lines(" x \n\n y"), ["x", "y"]);
        assert_eq!(items("org:read, user:*\ninvoice:read"), ["org:read", "user:*", "invoice:read"]);
    }

    #[test]
    fn days_are_of_the_zone() {
        let zone: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(
            base::period::format_instant(day("d", "2026-10-31", &zone).unwrap().start_us),
            "2026-10-30T23:00:00Z"
        );
        assert!(day("d", "2026-02-30", &zone).is_err() && day("d", "", &zone).is_err());
    }

    #[test]
    fn texts_travel_in_addresses() {
        assert_eq!(query_value("Ünit & Co"), "%C3%9Cnit%20%26%20Co");
    }
}
