//! Signs: derived keys and their cache, outgoing headers, presigned links.

use crate::canonical::{self, ALGORITHM, Signed, hmac_sha256};
use crate::dates;
use crate::error::S3Error;
use crate::names;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Most keys kept; past it the cache starts anew, which costs two microseconds a key.
const CACHED_KEYS_MAX: usize = 10_000;

/// A derived key: one day, one region, service S3.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; 32]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Signs a string, giving lower-case hex.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> String {
        hex::encode(hmac_sha256(&self.0, text))
    }

    /// Lower-case hex of the key itself, for test vectors.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// Derives the signing key of a date (`yyyymmdd`) and a region.
#[must_use]
pub fn derive_key(secret: &str, date: &str, region: &str) -> SigningKey {
    let seed = format!("AWS4{secret}");
    let by_date = hmac_sha256(seed.as_bytes(), date.as_bytes());
    let by_region = hmac_sha256(&by_date, region.as_bytes());
    let by_service = hmac_sha256(&by_region, b"s3");
    SigningKey(hmac_sha256(&by_service, b"aws4_request"))
}

struct Cached {
    secret: String,
    key: SigningKey,
}

/// Keeps derived keys by key id, date and region. An entry is used only for the secret that it was
/// derived from, so a forgotten [`SigningKeyCache::forget`] cannot accept an old secret.
#[derive(Default)]
pub struct SigningKeyCache {
    keys: Mutex<BTreeMap<(String, String, String), Cached>>,
}

impl fmt::Debug for SigningKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeyCache(..)")
    }
}

impl SigningKeyCache {
    /// Gives the derived key, from the cache or anew.
    pub fn key(&self, access_key_id: &str, secret: &str, date: &str, region: &str) -> SigningKey {
        if secret == crate::sigv4::DUMMY_SECRET {
            return derive_key(secret, date, region); // Strangers take no room.
        }
        let name = (access_key_id.to_owned(), date.to_owned(), region.to_owned());
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = keys.get(&name)
            && cached.secret == secret
        {
            return cached.key.clone();
        }
        let key = derive_key(secret, date, region);
        if keys.len() >= CACHED_KEYS_MAX {
            keys.clear();
        }
        keys.insert(name, Cached { secret: secret.to_owned(), key: key.clone() });
        key
    }

    /// Drops every derived key of a key id, when it is revoked.
    pub fn forget(&self, access_key_id: &str) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|(known, _, _), _| known != access_key_id);
    }
}

/// Who signs, for where, and when.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// Public id of the key.
    pub access_key_id: &'a str,
    /// The secret.
    pub secret: &'a str,
    /// Region of the scope.
    pub region: &'a str,
    /// Date of the signature, microseconds UTC.
    pub now_us: i64,
    /// Where derived keys are kept.
    pub cache: &'a SigningKeyCache,
}

fn covered_by_signature(name: &HeaderName) -> bool {
    let text = name.as_str();
    matches!(text, "host" | "content-type" | "content-md5") || text.starts_with("x-amz-")
}

/// Signs a request by headers: sets `x-amz-date`, `x-amz-content-sha256` and `authorization`, covering
/// host, content-type, content-md5 and every `x-amz-` header. Gives the signature.
///
/// `headers` must hold `host`; `path_and_query` must be in the canonical encoding.
pub fn sign_headers(
    signer: &Signer<'_>,
    method: &str,
    path_and_query: &str,
    headers: &mut HeaderMap,
    payload_hash: &str,
) -> Result<String, S3Error> {
    let mut names: Vec<String> =
        headers.keys().filter(|name| covered_by_signature(name)).map(|name| name.as_str().to_owned()).collect();
    names.extend(["x-amz-content-sha256".to_owned(), "x-amz-date".to_owned()]);
    names.sort();
    names.dedup();
    let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
    sign_covering(signer, method, path_and_query, headers, payload_hash, &borrowed)
}

/// As [`sign_headers`], covering exactly the headers given (lower case). For callers that must choose,
/// such as test vectors.
pub fn sign_covering(
    signer: &Signer<'_>,
    method: &str,
    path_and_query: &str,
    headers: &mut HeaderMap,
    payload_hash: &str,
    covered: &[&str],
) -> Result<String, S3Error> {
    let unfit = |_| S3Error::invalid_argument().saying("a value does not fit into a header");
    let amz_date = dates::format_amz(signer.now_us);
    headers.insert("x-amz-date", HeaderValue::from_str(&amz_date).map_err(unfit)?);
    headers.insert("x-amz-content-sha256", HeaderValue::from_str(payload_hash).map_err(unfit)?);
    let mut signed_headers: Vec<String> = covered.iter().map(|name| (*name).to_owned()).collect();
    signed_headers.sort();
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let signed = Signed { method, path, query, headers, signed_headers: &signed_headers, host: None, payload_hash };
    let date = &amz_date[..8];
    let scope = canonical::scope(date, signer.region);
    let hash = signed.hash(canonical::Reading::Raw, canonical::Reading::Recoded);
    let key = signer.cache.key(signer.access_key_id, signer.secret, date, signer.region);
    let signature = key.sign(canonical::string_to_sign(&amz_date, &scope, &hash).as_bytes());
    let text = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        signer.access_key_id,
        signed_headers.join(";")
    );
    headers.insert(http::header::AUTHORIZATION, HeaderValue::from_str(&text).map_err(unfit)?);
    Ok(signature)
}

/// Makes a presigned path and query: `path` in the canonical encoding, `query` raw, only `host` signed.
#[must_use]
pub fn presign_url(signer: &Signer<'_>, method: &str, host: &str, path: &str, query: &str, expires_s: i64) -> String {
    let amz_date = dates::format_amz(signer.now_us);
    let date = &amz_date[..8];
    let scope = canonical::scope(date, signer.region);
    let credential = format!("{}/{scope}", signer.access_key_id);
    let own = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={amz_date}&X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host",
        names::encode_value(credential.as_bytes())
    );
    let full_query = if query.is_empty() { own } else { format!("{query}&{own}") };
    let headers = HeaderMap::new();
    let signed_headers = ["host".to_owned()];
    let signed = Signed {
        method,
        path,
        query: &full_query,
        headers: &headers,
        signed_headers: &signed_headers,
        host: Some(host),
        payload_hash: "UNSIGNED-PAYLOAD",
    };
    let hash = signed.hash(canonical::Reading::Raw, canonical::Reading::Recoded);
    let key = signer.cache.key(signer.access_key_id, signer.secret, date, signer.region);
    let signature = key.sign(canonical::string_to_sign(&amz_date, &scope, &hash).as_bytes());
    format!("{path}?{full_query}&X-Amz-Signature={signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cache: &SigningKeyCache) -> usize {
        cache.keys.lock().unwrap().len()
    }

    #[test]
    fn strangers_take_no_room_and_others_a_bounded_one() {
        let cache = SigningKeyCache::default();
        for no in 0..100 {
            cache.key(&format!("stranger{no}"), crate::sigv4::DUMMY_SECRET, "20260102", "r");
        }
        assert_eq!(kept(&cache), 0);
        for no in 0..=CACHED_KEYS_MAX {
            cache.key(&format!("key{no}"), "secret", "20260102", "r");
        }
        assert_eq!(kept(&cache), 1, "it started anew");
    }
}
