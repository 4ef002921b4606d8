//! A request after its signature was proven: target, effective query and headers, operation.

use crate::port::Caller;
use crate::settings::Settings;
use base::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3::{Operation, Query, S3Error, Verified, names};
use std::sync::Arc;

/// Query parameters that carry a presigned signature and nothing else.
const PRESIGN_PARAMETERS: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// Bucket and key as the client named them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Virtual bucket, decoded; empty for the account itself.
    pub bucket: String,
    /// Virtual key, percent-encoded as received; empty for the bucket itself.
    pub raw_key: String,
    /// The bucket was named by the host.
    pub by_host: bool,
}

impl Target {
    /// Reads path style, or virtual-host style when the host is a name below `domain`.
    pub(crate) fn parse(host: &str, path: &str, domain: Option<&str>) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        if let Some(bucket) = domain.and_then(|domain| virtual_host_bucket(host, domain)) {
            return Self { bucket, raw_key: path.to_owned(), by_host: true };
        }
        let (bucket, raw_key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = String::from_utf8_lossy(&names::decode(bucket)).into_owned();
        Self { bucket, raw_key: raw_key.to_owned(), by_host: false }
    }

    /// The key decoded, with broken UTF-8 replaced.
    pub(crate) fn key_text(&self) -> String {
        String::from_utf8_lossy(&names::decode(&self.raw_key)).into_owned()
    }

    /// `/bucket/key` for error bodies.
    pub(crate) fn resource(&self) -> String {
        if self.bucket.is_empty() {
            return "/".to_owned();
        }
        if self.raw_key.is_empty() {
            format!("/{}", self.bucket)
        } else {
            format!("/{}/{}", self.bucket, self.key_text())
        }
    }
}

fn virtual_host_bucket(host: &str, domain: &str) -> Option<String> {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let lower = name.to_ascii_lowercase();
    let bucket = lower.strip_suffix(&domain.to_ascii_lowercase())?.strip_suffix('.')?;
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

/// Turns headers that were hoisted into the query back into headers, and drops the signature's own
/// parameters.
///
/// Done for header-signed requests too: an upstream that honours `x-amz-copy-source` in a query must
/// not be reachable around the mapping.
pub(crate) fn effective(raw_query: &str, mut headers: HeaderMap) -> Result<(Query, HeaderMap), S3Error> {
    let mut query = Query::parse(raw_query);
    query.retain(|name| !PRESIGN_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())));
    let hoisted: Vec<(Vec<u8>, Vec<u8>)> = query
        .iter()
        .filter(|(name, _)| is_hoisted(name))
        .map(|(name, value)| (name.to_vec(), value.unwrap_or_default().to_vec()))
        .collect();
    query.retain(|name| !is_hoisted(name));
    for (name, value) in hoisted {
        let unfit = || S3Error::invalid_argument().saying("A query parameter does not fit into a header.");
        let name = HeaderName::from_bytes(&name.to_ascii_lowercase()).map_err(|_| unfit())?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| unfit())?;
        headers.entry(name).or_insert(value);
    }
    Ok((query, headers))
}

fn is_hoisted(name: &[u8]) -> bool {
    name.len() > 6 && name[..6].eq_ignore_ascii_case(b"x-amz-")
}

/// An authenticated request.
pub(crate) struct Inbound {
    /// Made here; also the identity of the metering event.
    pub request_id: RequestId,
    /// When its head was read, microseconds UTC.
    pub started_us: i64,
    /// Method.
    pub method: Method,
    /// Bucket and key.
    pub target: Target,
    /// Effective query.
    pub query: Query,
    /// Effective headers.
    pub headers: HeaderMap,
    /// What is asked for.
    pub operation: Operation,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// Proof, and the start of the chunk signatures.
    pub verified: Verified,
    /// `http://host` as clients reach the gateway.
    pub public_url: String,
    /// What is wrong with it, found after its sender was known.
    pub refusal: Option<S3Error>,
}

impl Inbound {
    /// Shown as owner id instead of the upstream's.
    pub(crate) fn owner_id(&self) -> String {
        self.caller.org.to_string()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The public address of the target.
    pub(crate) fn location(&self) -> String {
        let key = names::canonical_path(&self.target.raw_key);
        format!("{}/{}/{key}", self.public_url, self.target.bucket)
    }

    /// Refuses a request that names another owner than the caller's organisation.
    pub(crate) fn check_expected_owner(&self) -> Result<(), S3Error> {
        for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
            if self.header(name).is_some_and(|wanted| wanted != self.owner_id()) {
                return Err(S3Error::access_denied().saying(format!("{name} is not the owner of this bucket.")));
            }
        }
        Ok(())
    }
}

/// How clients reach the gateway, for `Location`.
pub(crate) fn public_url(settings: &Settings, host: &str) -> String {
    settings.public_url.clone().unwrap_or_else(|| format!("http://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, path: &str) -> (String, String) {
        let target = Target::parse(host, path, Some("s3.example.com"));
        (target.bucket, target.raw_key)
    }

    #[test]
    fn targets() {
        let pair = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned());
        assert_eq!(target("127.0.0.1:9000", "/"), pair("", ""));
        assert_eq!(target("127.0.0.1:9000", "/b"), pair("b", ""));
        assert_eq!(target("127.0.0.1:9000", "/b/"), pair("b", ""));
        assert_eq!(target("127.0.0.1:9000", "/b//a/%2e"), pair("b", "/a/%2e"));
        assert_eq!(target("b.S3.example.com:443", "/k/l"), pair("b", "k/l"));
        assert_eq!(target("a.b.s3.example.com", "/"), pair("a.b", ""));
        assert_eq!(target("s3.example.com", "/b/k"), pair("b", "k"));
        assert_eq!(target("xs3.example.com", "/b/k"), pair("b", "k"));
    }

    #[test]
    fn hoisted_headers_come_back_and_signatures_go() {
        let raw = "x-amz-acl=private&X-Amz-Signature=s&X-Amz-Date=d&x-id=PutObject&X-Amz-Meta-A=b%20c&versionId=1";
        let (query, headers) = effective(raw, HeaderMap::new()).unwrap();
        assert_eq!(query.to_raw(), "x-id=PutObject&versionId=1");
        assert_eq!(headers.get("x-amz-acl").unwrap(), "private");
        assert_eq!(headers.get("x-amz-meta-a").unwrap(), "b c");
    }
}
