//! A query string as ordered pairs of bytes, decoded once and written in the canonical encoding.

use crate::names;

/// An ordered query. Names and values are decoded bytes; `None` is a name without `=`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Query {
    /// Reads a raw query string (without `?`). Empty pieces between `&` are dropped.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let pairs = raw
            .split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| match piece.split_once('=') {
                Some((name, value)) => (names::decode_plus(name), Some(names::decode_plus(value))),
                None => (names::decode_plus(piece), None),
            })
            .collect();
        Self { pairs }
    }

    /// Tells whether a name is present, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name.as_bytes())
    }

    /// Gives the first value of a name; empty for a name without `=`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name.as_bytes())?;
        Some(value.as_deref().unwrap_or_default())
    }

    /// Gives the first value of a name as text, with broken UTF-8 replaced.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Iterates over the pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.pairs.iter().map(|(name, value)| (name.as_slice(), value.as_deref()))
    }

    /// Tells whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Sets a name to one value, in the place of its first occurrence or at the end.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let place = self.pairs.iter().position(|(known, _)| known == name.as_bytes());
        self.remove(name);
        let pair = (name.as_bytes().to_vec(), Some(value.to_vec()));
        match place {
            Some(index) if index <= self.pairs.len() => self.pairs.insert(index, pair),
            _ => self.pairs.push(pair),
        }
    }

    /// Adds a name without a value, such as `uploads`.
    pub fn flag(&mut self, name: &str) {
        self.pairs.push((name.as_bytes().to_vec(), None));
    }

    /// Removes every occurrence of a name.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(known, _)| known != name.as_bytes());
    }

    /// Keeps the pairs whose name the function accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        self.pairs.retain(|(name, _)| keep(name));
    }

    /// Writes the query in the canonical encoding, in its present order, without `?`.
    #[must_use]
    pub fn to_raw(&self) -> String {
        let pieces: Vec<String> = self
            .pairs
            .iter()
            .map(|(name, value)| match value {
                Some(value) => format!("{}={}", names::encode_value(name), names::encode_value(value)),
                None => names::encode_value(name),
            })
            .collect();
        pieces.join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_order_flags_and_odd_bytes() {
        let mut query = Query::parse("uploads&prefix=a%2Fb+c&&x=%FF&empty=");
        assert!(query.has("uploads"));
        assert_eq!(query.text("prefix").as_deref(), Some("a/b c"));
        assert_eq!(query.bytes("x"), Some(&[0xff_u8][..]));
        query.set("prefix", b"t/");
        assert_eq!(query.to_raw(), "uploads&prefix=t%2F&x=%FF&empty=");
        query.remove("x");
        assert_eq!(query.to_raw(), "uploads&prefix=t%2F&empty=");
    }

    proptest! {
        #[test]
        fn written_queries_read_back(pairs in proptest::collection::vec(("[a-z&=+% ]{1,6}", "\\PC{0,6}"), 0..5)) {
            let mut query = Query::default();
            for (name, value) in &pairs {
                query.set(name, value.as_bytes());
            }
            prop_assert_eq!(Query::parse(&query.to_raw()), query);
        }
    }
}
