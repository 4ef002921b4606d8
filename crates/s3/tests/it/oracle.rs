//! Our signatures against those of the AWS SDK, on random requests.

use crate::{KEY_ID, SECRET};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use s3::names::{encode_key, encode_value, sha256_hex};
use s3::sigv4::{Signer, SigningKeyCache, UNSIGNED_PAYLOAD, presign_url, sign_headers};
use std::time::{Duration, UNIX_EPOCH};

const HOST: &str = "gw.test:9000";

/// The SDK's signature, as it signs for S3.
fn theirs(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: SignableBody<'_>,
    region: &str,
    at_s: u64,
    expires_s: Option<u64>,
) -> String {
    let identity = Credentials::new(KEY_ID, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    match expires_s {
        Some(expires_s) => {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(expires_s));
        }
        None => settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256,
    }
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_secs(at_s))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new(method, format!("http://{HOST}{target}"), headers, body).unwrap();
    sign(request, &params).unwrap().into_parts().1
}

fn query(pairs: &[(String, String)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode_value(name.as_bytes()), encode_value(value.as_bytes())));
    pairs.collect::<Vec<_>>().join("&")
}

fn target(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

proptest! {
    #[test]
    fn header_signatures_are_those_of_the_sdk(
        method in "GET|PUT|POST|DELETE|HEAD",
        key in "\\PC{0,12}",
        pairs in proptest::collection::vec(("[a-zA-Z-]{1,8}", "\\PC{0,8}"), 0..4),
        meta in proptest::collection::btree_map("[a-z]{1,8}", "[!-~]([ -~]{0,10}[!-~])?", 0..4),
        body in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        at_s in 1_000_000_000_u64..4_000_000_000,
    ) {
        let cache = SigningKeyCache::default();
        let now_us = i64::try_from(at_s * 1_000_000).unwrap();
        let signer = Signer { access_key_id: KEY_ID, secret: SECRET, region: &region, now_us, cache: &cache };
        let target = target(&format!("/bucket/{}", encode_key(key.as_bytes())), &query(&pairs));
        let meta: Vec<(String, String)> =
            meta.into_iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value)).collect();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        for (name, value) in &meta {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let hash = body.as_ref().map_or_else(|| UNSIGNED_PAYLOAD.to_owned(), |body| sha256_hex(body));
        let ours = sign_headers(&signer, &method, &target, &mut headers, &hash).unwrap();
        let body = body.as_deref().map_or(SignableBody::UnsignedPayload, SignableBody::Bytes);
        prop_assert_eq!(ours, theirs(&method, &target, &meta, body, &region, at_s, None));
    }

    #[test]
    fn presigned_links_are_those_of_the_sdk(
        method in "GET|PUT",
        key in "\\PC{0,12}",
        pairs in proptest::collection::vec(("[a-z-]{1,8}", "\\PC{0,8}"), 0..4),
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        at_s in 1_000_000_000_u64..4_000_000_000,
        expires_s in 1_u64..=604_800,
    ) {
        let cache = SigningKeyCache::default();
        let now_us = i64::try_from(at_s * 1_000_000).unwrap();
        let signer = Signer { access_key_id: KEY_ID, secret: SECRET, region: &region, now_us, cache: &cache };
        let (path, query) = (format!("/bucket/{}", encode_key(key.as_bytes())), query(&pairs));
        let link = presign_url(&signer, &method, HOST, &path, &query, i64::try_from(expires_s).unwrap());
        let ours = link.rsplit_once("X-Amz-Signature=").unwrap().1;
        let body = SignableBody::UnsignedPayload;
        let theirs = theirs(&method, &target(&path, &query), &[], body, &region, at_s, Some(expires_s));
        prop_assert_eq!(ours, theirs);
    }
}
