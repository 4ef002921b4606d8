//! A request taken apart: path style, decoded names and parameters. It never looks at the body.

use super::refusal::Refusal;
use super::signature::Payload;
use http::StatusCode;
use http::header::HeaderMap;
use http::request::Parts;
use percent_encoding::percent_decode_str;

const KEY_BYTES_MAX: usize = 1024;
/// The longest page of any listing.
pub(super) const PAGE_MAX: usize = 1000;

/// Parameters that name an operation this store does not have.
const FOREIGN: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "versionId",
    "versioning",
    "versions",
    "website",
    "X-Amz-Signature",
];

/// A request taken apart.
pub(super) struct Call<'a> {
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// The bucket, or nothing for the service itself.
    pub(super) bucket: String,
    /// The key, or nothing for the bucket itself.
    pub(super) key: String,
    /// What the signature promised about the body.
    pub(super) payload: Payload,
    query: Vec<(String, String)>,
}

impl<'a> Call<'a> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// `InvalidURI`, `KeyTooLongError`, `NotImplemented` for operations this store does not have.
    pub(super) fn new(parts: &'a Parts, payload: Payload) -> Result<Self, Refusal> {
        let path = parts.uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let call = Self {
            headers: &parts.headers,
            bucket: decoded(bucket)?,
            key: decoded(key)?,
            payload,
            query: query_pairs(parts.uri.query().unwrap_or_default())?,
        };
        if call.key.len() > KEY_BYTES_MAX {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "KeyTooLongError", "Your key is too long"));
        }
        if FOREIGN.iter().any(|name| call.has(name)) {
            return Err(Refusal::not_implemented());
        }
        Ok(call)
    }

    /// A parameter of the query, decoded; the first of several.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the query has a parameter, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    /// A header that is plain text; the first of several.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter that is a number, cut to `most`; `most` when it is missing or empty.
    pub(super) fn count(&self, name: &str, most: usize) -> Result<usize, Refusal> {
        match self.parameter(name) {
            None | Some("") => Ok(most),
            Some(text) => text
                .parse::<u32>()
                .map(|count| usize::try_from(count).unwrap_or(most).min(most))
                .map_err(|_| Refusal::invalid_argument("Provided count is not an integer or within range")),
        }
    }

    /// Whether names are to be written URL-encoded.
    pub(super) fn wants_url_encoding(&self) -> Result<bool, Refusal> {
        match self.parameter("encoding-type") {
            None | Some("") => Ok(false),
            Some("url") => Ok(true),
            Some(_) => Err(Refusal::invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }
}

/// Decodes percent escapes. A `+` stays a `+`.
///
/// # Errors
/// `InvalidURI` for what is not UTF-8.
pub(super) fn decoded(text: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "InvalidURI", "Couldn't parse the specified URI."))
}

fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?));
    }
    Ok(pairs)
}
