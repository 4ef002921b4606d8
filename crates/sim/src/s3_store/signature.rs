//! Checks the header signature of a request (AWS Signature Version 4).
//!
//! Written apart from the product's own signer, so that each checks the other. It compares without
//! care for timing: it never guards anything but a trial.

use super::refusal::Refusal;
use super::times::parse_amz_date;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SKEW_US_MAX: i64 = 900 * 1_000_000;
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a signature says about the body.
pub(super) enum Payload {
    /// Its SHA-256 in hex, still to be checked.
    Sha256(String),
    /// Nothing.
    Unsigned,
}

struct Authorization<'a> {
    access_key_id: &'a str,
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Checks who signed the request and that nothing signed has changed.
///
/// # Errors
/// `AccessDenied` without a signature, `InvalidAccessKeyId`, `SignatureDoesNotMatch`,
/// `RequestTimeTooSkewed` beyond fifteen minutes, and 400s for what cannot be read.
pub(super) fn check(credentials: &[(String, String)], now_us: i64, parts: &Parts) -> Result<Payload, Refusal> {
    let authorization = Authorization::of(&parts.headers)?;
    let payload_hash = text_of(&parts.headers, "x-amz-content-sha256")
        .ok_or_else(|| Refusal::invalid_request("Missing required header for this request: x-amz-content-sha256"))?;
    let payload = payload_of(payload_hash)?;
    let date = text_of(&parts.headers, "x-amz-date").unwrap_or_default();
    check_date(date, authorization.scope, now_us)?;
    check_coverage(&parts.headers, authorization.signed_headers)?;
    let (_, secret) = credentials
        .iter()
        .find(|(known, _)| known == authorization.access_key_id)
        .ok_or_else(|| unknown_key(authorization.access_key_id))?;
    let canonical = canonical_request(parts, authorization.signed_headers, payload_hash);
    let expected = sign(secret, date, authorization.scope, &canonical);
    if authorization.signature == expected {
        return Ok(payload);
    }
    let message = "The request signature we calculated does not match the signature you provided. \
        Check your key and signing method.";
    Err(Refusal::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message)
        .with("AWSAccessKeyId", authorization.access_key_id)
        .with("SignatureProvided", authorization.signature)
        .with("CanonicalRequest", &String::from_utf8_lossy(&canonical)))
}

impl<'a> Authorization<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let text = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"))?;
        let fields = text.strip_prefix(ALGORITHM).ok_or_else(|| {
            Refusal::invalid_request(
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            )
        })?;
        let field = |name: &str| {
            let mut pairs = fields.split(',').filter_map(|field| field.trim().split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or_else(malformed)
        };
        let (access_key_id, scope) = field("Credential")?.split_once('/').ok_or_else(malformed)?;
        Ok(Self { access_key_id, scope, signed_headers: field("SignedHeaders")?, signature: field("Signature")? })
    }
}

fn payload_of(hash: &str) -> Result<Payload, Refusal> {
    match hash {
        "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
        streaming if streaming.starts_with("STREAMING-") => Err(Refusal::not_implemented()),
        hex if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(Payload::Sha256(hex.to_owned()))
        }
        _ => Err(Refusal::invalid_argument("x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")),
    }
}

fn check_date(date: &str, scope: &str, now_us: i64) -> Result<(), Refusal> {
    let signed_us = parse_amz_date(date).ok_or_else(|| {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    })?;
    let scope: Vec<&str> = scope.split('/').collect();
    let fits = matches!(scope[..], [day, _, "s3", "aws4_request"] if day == &date[..8]);
    if !fits {
        return Err(malformed());
    }
    if (now_us - signed_us).abs() > SKEW_US_MAX {
        let message = "The difference between the request time and the current time is too large.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message)
            .with("RequestTime", date)
            .with("ServerTime", &super::times::xml_time(now_us))
            .with("MaxAllowedSkewMilliseconds", "900000"));
    }
    Ok(())
}

/// Refuses a request whose host or any `x-amz-` header is outside the signature.
fn check_coverage(headers: &HeaderMap, signed_headers: &str) -> Result<(), Refusal> {
    let is_signed = |name: &str| signed_headers.split(';').any(|signed| signed == name);
    let unsigned = headers.keys().find(|name| name.as_str().starts_with("x-amz-") && !is_signed(name.as_str()));
    if is_signed("host") && unsigned.is_none() {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    let name = unsigned.map_or("host", |name| name.as_str());
    Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", message).with("HeadersNotSigned", name))
}

fn unknown_key(access_key_id: &str) -> Refusal {
    let message = "The AWS Access Key Id you provided does not exist in our records.";
    Refusal::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message).with("AWSAccessKeyId", access_key_id)
}

fn malformed() -> Refusal {
    let message = "The authorization header is malformed.";
    Refusal::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", message)
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The request as it is signed; the path stays as it came.
pub(super) fn canonical_request(parts: &Parts, signed_headers: &str, payload_hash: &str) -> Vec<u8> {
    let query = canonical_query(parts.uri.query().unwrap_or_default());
    let mut canonical = format!("{}\n{}\n{query}\n", parts.method, parts.uri.path()).into_bytes();
    for name in signed_headers.split(';') {
        let values: Vec<Vec<u8>> = parts.headers.get_all(name).iter().map(|value| folded(value.as_bytes())).collect();
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&values.join(&b','));
        canonical.push(b'\n');
    }
    canonical.extend_from_slice(format!("\n{signed_headers}\n{payload_hash}").as_bytes());
    canonical
}

/// The query decoded, encoded again the one right way, and sorted.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded_again(name), encoded_again(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encoded_again(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode_str(&spaced).collect();
    percent_encode(&bytes, ESCAPED).to_string()
}

/// The value without blanks around it and with single blanks inside.
fn folded(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| *byte == b' ' || *byte == b'\t').filter(|word| !word.is_empty());
    words.collect::<Vec<&[u8]>>().join(&b' ')
}

/// The signature in hex.
pub(super) fn sign(secret: &str, date: &str, scope: &str, canonical: &[u8]) -> String {
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for step in scope.split('/') {
        key = hmac_sha256(&key, step.as_bytes()).to_vec();
    }
    hex::encode(hmac_sha256(&key, text.as_bytes()))
}

/// RFC 2104 over SHA-256.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    outer.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const SCOPE: &str = "20260102/us-east-1/s3/aws4_request";
    const DATE: &str = "20260102T030405Z";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const LISTED: &str = "3aca750d8826750c9d96edf22cb7d361fe44f79f098fbc36e738a2cca3cd4d6e";

    /// The vectors V1 and V2 of the protocol reference, equal in botocore.
    #[test]
    fn signs_the_vectors() {
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let put = Request::put("/team-a/q1/a%20b%2Bc/%C3%A9t%C3%A9.txt?tagging")
            .header("content-type", "text/plain")
            .header("host", "gw.example.test:9000")
            .header("x-amz-content-sha256", hello)
            .header("x-amz-date", DATE)
            .header("x-amz-meta-note", "  two   spaces ");
        let signed = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-note";
        let (parts, ()) = put.body(()).unwrap().into_parts();
        let canonical = canonical_request(&parts, signed, hello);
        let expected = "32fb6d6d3c835a438f79318950ca4abb9dbe7b8d26726fc5aebe1b5f0155d493";
        assert_eq!(sign(SECRET, DATE, SCOPE, &canonical), expected);
        let parts = listing(LISTED);
        let canonical = canonical_request(&parts, "host;x-amz-content-sha256;x-amz-date", EMPTY);
        assert_eq!(sign(SECRET, DATE, SCOPE, &canonical), LISTED);
    }

    fn listing(signature: &str) -> Parts {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{SCOPE}, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        let request = Request::get("/team-a?list-type=2&prefix=a%2Fb%20c&delimiter=%2F&max-keys=2&start-after=Z~")
            .header("host", "gw.example.test:9000")
            .header("x-amz-content-sha256", EMPTY)
            .header("x-amz-date", DATE)
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn outcome(key_id: &str, signature: &str, late_us: i64) -> Result<(), &'static str> {
        let credentials = vec![(key_id.to_owned(), SECRET.to_owned())];
        let now_us = parse_amz_date(DATE).unwrap() + late_us;
        check(&credentials, now_us, &listing(signature)).map(|_| ()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn tells_right_from_wrong() {
        assert_eq!(outcome("AKIAIOSFODNN7EXAMPLE", LISTED, 0), Ok(()));
        assert_eq!(outcome("AKIAIOSFODNN7EXAMPLE", EMPTY, 0), Err("SignatureDoesNotMatch"));
        assert_eq!(outcome("SOMEONEELSE", LISTED, 0), Err("InvalidAccessKeyId"));
        assert_eq!(outcome("AKIAIOSFODNN7EXAMPLE", LISTED, 901_000_000), Err("RequestTimeTooSkewed"));
    }

    #[test]
    fn refuses_headers_outside_the_signature() {
        let mut parts = listing(LISTED);
        parts.headers.insert("x-amz-acl", http::HeaderValue::from_static("public-read"));
        let credentials = vec![("AKIAIOSFODNN7EXAMPLE".to_owned(), SECRET.to_owned())];
        let refused = check(&credentials, parse_amz_date(DATE).unwrap(), &parts).map(|_| ());
        assert_eq!(refused.map_err(|refusal| refusal.code()), Err("AccessDenied"));
    }
}
