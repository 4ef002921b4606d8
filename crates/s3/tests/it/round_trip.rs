//! Whatever our signer signs, our verifier accepts; whatever is changed afterwards, it refuses.

use crate::{KEY_ID, SECRET, check};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use s3::names::{encode_key, encode_value};
use s3::sigv4::{Signer, SigningKeyCache, UNSIGNED_PAYLOAD, presign_url, sign_headers};

const NOW_US: i64 = 1_767_323_045_000_000;

fn signer(cache: &SigningKeyCache) -> Signer<'_> {
    Signer { access_key_id: KEY_ID, secret: SECRET, region: "eu-central-1", now_us: NOW_US, cache }
}

fn target(key: &[u8], pairs: &[(String, String)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode_value(name.as_bytes()), encode_value(value.as_bytes())))
        .collect();
    let path = format!("/bucket/{}", encode_key(key));
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

proptest! {
    #[test]
    fn headers_round_trip(
        key: Vec<u8>,
        pairs in proptest::collection::vec(("[a-z-]{1,8}", "\\PC{0,8}"), 0..4),
        note in "[ -~]{0,20}",
        skew_s in -900_i64..=900,
    ) {
        let cache = SigningKeyCache::default();
        let target = target(&key, &pairs);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("gw.test"));
        headers.insert(HeaderName::from_static("x-amz-meta-note"), HeaderValue::from_str(&note).unwrap());
        sign_headers(&signer(&cache), "PUT", &target, &mut headers, UNSIGNED_PAYLOAD).unwrap();
        prop_assert!(check("PUT", &target, &headers, NOW_US + skew_s * 1_000_000).is_ok());
        prop_assert_eq!(check("GET", &target, &headers, NOW_US).unwrap_err().code, "SignatureDoesNotMatch");
        let other = target.replacen("/bucket/", "/bucket/x", 1);
        prop_assert_eq!(check("PUT", &other, &headers, NOW_US).unwrap_err().code, "SignatureDoesNotMatch");
        headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
        prop_assert_eq!(check("PUT", &target, &headers, NOW_US).unwrap_err().code, "AccessDenied");
    }

    #[test]
    fn presigned_round_trip(key: Vec<u8>, expires_s in 1_i64..=604_800) {
        let cache = SigningKeyCache::default();
        let path = format!("/bucket/{}", encode_key(&key));
        let target = presign_url(&signer(&cache), "GET", "gw.test", &path, "", expires_s);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("gw.test"));
        prop_assert!(check("GET", &target, &headers, NOW_US + expires_s * 1_000_000).is_ok());
        prop_assert_eq!(check("GET", &target, &headers, NOW_US + expires_s * 1_000_000 + 1).unwrap_err().code, "AccessDenied");
        headers.insert("host", HeaderValue::from_static("other.test"));
        prop_assert_eq!(check("GET", &target, &headers, NOW_US).unwrap_err().code, "SignatureDoesNotMatch");
    }
}

#[test]
fn a_revoked_or_changed_secret_is_not_served_from_the_cache() {
    let cache = SigningKeyCache::default();
    let first = cache.key("k", "one", "20260102", "r");
    assert_ne!(cache.key("k", "two", "20260102", "r"), first);
    cache.forget("k");
    assert_eq!(cache.key("k", "one", "20260102", "r"), first);
}
