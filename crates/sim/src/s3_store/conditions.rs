//! Conditional requests and ranges, judged against one object. It never changes anything.

use super::call::Call;
use super::index::Object;
use super::refusal::Refusal;
use super::times::{http_date, parse_http_date};
use http::StatusCode;

/// The four condition headers of a read.
pub(super) struct ConditionNames {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// The conditions of GET and HEAD.
pub(super) const OF_READ: ConditionNames = ConditionNames {
    if_match: "if-match",
    if_none_match: "if-none-match",
    if_modified_since: "if-modified-since",
    if_unmodified_since: "if-unmodified-since",
};

/// The conditions on the source of a copy.
pub(super) const OF_COPY_SOURCE: ConditionNames = ConditionNames {
    if_match: "x-amz-copy-source-if-match",
    if_none_match: "x-amz-copy-source-if-none-match",
    if_modified_since: "x-amz-copy-source-if-modified-since",
    if_unmodified_since: "x-amz-copy-source-if-unmodified-since",
};

/// Bytes of an object to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first byte.
    pub(super) start: u64,
    /// How many.
    pub(super) count: u64,
}

/// Whether the object is new to the reader: `false` means 304 (412 for a copy). A tag that fits
/// outweighs a date, as RFC 9110 has it.
///
/// # Errors
/// `PreconditionFailed`.
pub(super) fn is_news(call: &Call<'_>, names: &ConditionNames, object: &Object) -> Result<bool, Refusal> {
    let date_of = |name: &str| call.header(name).and_then(parse_http_date);
    if let Some(tags) = call.header(names.if_match) {
        if !names_etag(tags, &object.etag) {
            return Err(Refusal::precondition_failed(names.if_match));
        }
    } else if date_of(names.if_unmodified_since).is_some_and(|limit_us| object.modified_us > limit_us) {
        return Err(Refusal::precondition_failed(names.if_unmodified_since));
    }
    if let Some(tags) = call.header(names.if_none_match) {
        return Ok(!names_etag(tags, &object.etag));
    }
    Ok(date_of(names.if_modified_since).is_none_or(|limit_us| object.modified_us > limit_us))
}

/// Refuses a write whose condition on the object it replaces does not hold.
///
/// # Errors
/// `PreconditionFailed`, `NoSuchKey`, `NotImplemented` for `If-None-Match` with a tag.
pub(super) fn may_replace(call: &Call<'_>, present: Option<&Object>) -> Result<(), Refusal> {
    match (call.header("if-none-match"), present) {
        (Some("*"), Some(_)) => return Err(Refusal::precondition_failed("If-None-Match")),
        (Some("*"), None) | (None, _) => {}
        (Some(_), _) => return Err(Refusal::not_implemented()),
    }
    match (call.header("if-match"), present) {
        (Some(_), None) => Err(Refusal::no_such_key(&call.key)),
        (Some(tags), Some(object)) if !names_etag(tags, &object.etag) => Err(Refusal::precondition_failed("If-Match")),
        _ => Ok(()),
    }
}

/// The part of the object a read asks for: `None` for all of it, which is also the answer to a
/// range that is malformed, manifold or overtaken (`If-Range`).
///
/// # Errors
/// `InvalidRange`.
pub(super) fn wanted_span(call: &Call<'_>, object: &Object) -> Result<Option<Span>, Refusal> {
    let Some(range) = call.header("range") else { return Ok(None) };
    if let Some(known) = call.header("if-range")
        && known != object.quoted_etag()
        && known != http_date(object.modified_us)
    {
        return Ok(None);
    }
    span_of(range, object.size_bytes)
}

/// Reads `bytes=first-last`, `bytes=first-` or `bytes=-count` of `size_bytes`; see [`wanted_span`].
pub(super) fn span_of(range: &str, size_bytes: u64) -> Result<Option<Span>, Refusal> {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|span| span.split_once('-')) else {
        return Ok(None);
    };
    let span = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last),
        (Ok(first), Err(_)) if last.is_empty() => (first, u64::MAX),
        (Err(_), Ok(0)) if first.is_empty() => (size_bytes, u64::MAX), // No byte at all.
        (Err(_), Ok(count)) if first.is_empty() => (size_bytes.saturating_sub(count), u64::MAX),
        _ => return Ok(None),
    };
    let (start, last) = span;
    if start >= size_bytes {
        let message = "The requested range is not satisfiable";
        return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message)
            .with("RangeRequested", range)
            .with("ActualObjectSize", &size_bytes.to_string()));
    }
    Ok(Some(Span { start, count: last.min(size_bytes - 1) - start + 1 }))
}

fn names_etag(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, size_bytes: u64, expected: Option<(u64, u64)>) {
        let span = span_of(range, size_bytes).unwrap();
        assert_eq!(span.map(|span| (span.start, span.count)), expected, "{range} of {size_bytes}");
    }

    #[test]
    fn reads_ranges() {
        check("bytes=0-9", 100, Some((0, 10)));
        check("bytes=90-1000", 100, Some((90, 10)));
        check("bytes=99-", 100, Some((99, 1)));
        check("bytes=-10", 100, Some((90, 10)));
        check("bytes=-1000", 100, Some((0, 100)));
        check("bytes=9-1", 100, None);
        check("bytes=0-1,5-6", 100, None);
        check("lines=0-1", 100, None);
        check("bytes=-", 100, None);
    }

    #[test]
    fn refuses_ranges_beyond_the_end() {
        for (range, size_bytes) in [("bytes=100-", 100), ("bytes=0-0", 0), ("bytes=-0", 100), ("bytes=-5", 0)] {
            assert!(span_of(range, size_bytes).is_err(), "{range} of {size_bytes}");
        }
    }

    #[test]
    fn compares_tags() {
        assert!(names_etag("\"a\", W/\"b\"", "b"));
        assert!(names_etag("*", "b"));
        assert!(!names_etag("\"a\"", "b"));
    }
}
