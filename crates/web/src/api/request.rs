//! What all handlers share: refusals, queries, bodies, ids, pages.

use super::models::List;
use crate::Web;
use crate::problem::Problem;
use access::Product;
use app::{Failure, secrets};
use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::period::parse_instant;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::str::FromStr;

/// Rows of a page when the caller names no limit.
const LIMIT_DEFAULT: usize = 50;
/// Rows of a page at most; a larger limit means this.
const LIMIT_MAX: usize = 1_000;

/// Why there is no answer: a failed use case, or a request that no use case ever saw.
pub(super) enum Refused {
    /// The use case failed.
    Failed(Problem),
    /// The request itself is unfit.
    Plain { status: StatusCode, code: &'static str, field: String, text: String },
}

/// What a handler that answers with JSON gives.
pub(super) type Answer<T> = Result<Json<T>, Refused>;

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(Problem(error.into()))
    }
}

impl Refused {
    pub(super) fn plain(status: StatusCode, code: &'static str, field: &str, text: impl Into<String>) -> Self {
        Self::Plain { status, code, field: field.to_owned(), text: text.into() }
    }

    /// 400: the request cannot be read.
    pub(super) fn malformed(field: &str, text: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "malformed", field, text)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, field, text) = match self {
            Self::Failed(problem) => return problem.into_response(),
            Self::Plain { status, code, field, text } => (status, code, field, text),
        };
        let mut body = serde_json::json!({
            "type": format!("/docs/errors#{code}"),
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": text,
            "code": code,
            "retryable": false,
        });
        if !field.is_empty() {
            body["errors"] = serde_json::json!([{ "pointer": field, "code": code, "detail": text }]);
        }
        let mut response = (status, body.to_string()).into_response();
        let media = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}

/// Reads a JSON body; unknown fields are refused by the types themselves.
pub(super) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, Refused> {
    serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let field = field_of::<T>(text, &reason).unwrap_or_default();
        let named = if field.is_empty() || reason.contains(&format!("`{field}`")) {
            format!("body: {reason}")
        } else {
            format!("{field}: {reason}")
        };
        Refused::malformed(&field, named)
    })
}

/// The field at fault. serde names those that are missing or unknown; one of a wrong type is the one
/// without which the complaint changes.
fn field_of<T: DeserializeOwned>(text: &str, reason: &str) -> Option<String> {
    let names = |reason: &str| reason.starts_with("missing field `") || reason.starts_with("unknown field `");
    if names(reason) {
        return reason.split('`').nth(1).map(str::to_owned);
    }
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let is_at_fault = |name: &&String| {
        let mut others = fields.clone();
        others.remove(name.as_str());
        let left = serde_json::from_value::<T>(serde_json::Value::Object(others)).err();
        left.is_none_or(|error| names(&error.to_string()))
    };
    fields.keys().find(is_at_fault).cloned()
}

/// A query string as a type; unknown names are refused by the type itself.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for Asked<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Refused> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Refused::malformed("", error.body_text())),
        }
    }
}

/// Which part of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAsked {
    /// Rows of a page: 50 if left out, 1,000 at most.
    pub(super) limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// An id of the path. A malformed one is as unknown as one that never was.
pub(super) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::not_found(what))
}

/// A value of the body or the query.
pub(super) fn parsed<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::unreadable(field, error))
}

/// One of a closed list of words.
pub(super) fn word<T>(field: &str, text: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Refused> {
    read(text).ok_or_else(|| Failure::invalid(field, text, "is not one of the words; see the documentation").into())
}

/// A list of products.
pub(super) fn products_of(field: &str, words: &[String]) -> Result<Vec<Product>, Refused> {
    words.iter().map(|text| word(field, text, Product::from_code)).collect()
}

/// An instant, if one was named.
pub(super) fn instant(field: &str, text: &Option<String>) -> Result<Option<i64>, Refused> {
    let read = |text: &String| parse_instant(text).map_err(|error| Failure::unreadable(field, error).into());
    text.as_ref().map(read).transpose()
}

/// A page that the store cut: one row more than `limit` says that there is a next one. The store never
/// gives more than [`LIMIT_MAX`] rows, so behind a page of that size there may be none.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: usize, mark: impl Fn(&T) -> String) -> List<T> {
    let has_more = rows.len() > limit || rows.len() == LIMIT_MAX;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(mark);
    List { data: rows, next_cursor, has_more }
}

/// Rows that a caller may have at once.
pub(super) fn page_limit(limit: Option<usize>) -> usize {
    limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}

/// Cuts a page out of a list. `key` names a row for good: the next page begins after the row that the
/// cursor names.
pub(super) fn page<T>(rows: Vec<T>, asked: &ListAsked, key: impl Fn(&T) -> String) -> Result<List<T>, Refused> {
    let limit = page_limit(asked.limit);
    let mark = |row: &T| secrets::hash(&key(row))[..32].to_owned();
    let start = match &asked.cursor {
        None => 0,
        Some(cursor) => {
            let found = rows.iter().position(|row| mark(row) == *cursor);
            let gone = || Failure::invalid("cursor", cursor, "is not of this list; begin again without it");
            found.ok_or_else(gone)? + 1
        }
    };
    let mut data: Vec<T> = rows.into_iter().skip(start).take(limit + 1).collect();
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = if has_more { data.last().map(mark) } else { None };
    Ok(List { data, next_cursor, has_more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        #[serde(default)]
        days: i64,
    }

    fn check(text: &str, field: &str, part: &str) {
        match read_json::<Body>(text) {
            Err(Refused::Plain { status, field: named, text: said, .. }) => {
                assert_eq!((status, named.as_str()), (StatusCode::BAD_REQUEST, field), "{text}");
                assert!(said.contains(part), "{said}");
            }
            _ => panic!("{text} was taken"),
        }
    }

    #[test]
    fn bodies_name_the_field_at_fault() {
        check("{}", "name", "missing field `name`");
        check(r#"{"name":"a","vat":1}"#, "vat", "unknown field `vat`");
        check(r#"{"name":"a","days":"x"}"#, "days", "invalid type");
        check(r#"{"days":"x","name":"a"}"#, "days", "invalid type");
        check(r#"{"name":5,"days":1}"#, "name", "invalid type");
        check("{", "", "EOF");
        let good = read_json::<Body>(r#"{"name":"a"}"#).ok().map(|body| (body.name, body.days));
        assert_eq!(good, Some(("a".to_owned(), 0)));
    }

    #[test]
    fn pages_follow_one_another() {
        let rows: Vec<u32> = (0..5).collect();
        let mut asked = ListAsked { limit: Some(2), cursor: None };
        let mut seen = Vec::new();
        loop {
            let Ok(found) = page(rows.clone(), &asked, u32::to_string) else { panic!("the cursor is ours") };
            seen.push(found.data);
            assert_eq!(found.has_more, found.next_cursor.is_some());
            match found.next_cursor {
                Some(cursor) => asked.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(seen, [vec![0, 1], vec![2, 3], vec![4]]);
        asked.cursor = Some("nonsense".to_owned());
        assert!(page(rows, &asked, u32::to_string).is_err());
    }
}
