//! Queries and forms (`application/x-www-form-urlencoded`), written and read.

use crate::Rejected;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// RFC 3986 section 2.3: these are never escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const QUERY_BYTES_MAX: usize = 16 * 1024;
const PAIRS_MAX: usize = 64;

/// Escapes everything that is not unreserved.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Writes pairs in their order.
pub(crate) fn write(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

/// Reads pairs. A name that stands twice is an error: which one counts would be a guess.
pub(crate) fn read(query: &str) -> Result<Vec<(String, String)>, Rejected> {
    let wrong = |reason: &str| Rejected::silent("query", reason);
    if query.len() > QUERY_BYTES_MAX {
        return Err(wrong("has more than 16 KiB"));
    }
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).map_err(|_| wrong("is not UTF-8"))
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name)?;
        if pairs.len() == PAIRS_MAX || pairs.iter().any(|(known, _)| *known == name) {
            return Err(Rejected::new("query parameter", &name, "stands twice, or there are more than 64"));
        }
        pairs.push((name, decode(value)?));
    }
    Ok(pairs)
}
