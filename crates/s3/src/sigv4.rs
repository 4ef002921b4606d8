//! Verifies signatures of version 4, in two phases: [`parse`] tells whose key is claimed, so that the
//! caller can look the secret up; [`verify`] proves the claim.
//!
//! Nothing here reads a clock or a table. Secrets are compared through signatures, in constant time.

use crate::canonical::{self, ALGORITHM, Reading, Signed};
use crate::dates;
use crate::error::S3Error;
use crate::query::Query;
use http::HeaderMap;
use subtle::ConstantTimeEq;

pub use crate::sign::{Signer, SigningKey, SigningKeyCache, derive_key, presign_url, sign_covering, sign_headers};

/// How far a request's date may be from the clock, microseconds.
pub const SKEW_US_MAX: i64 = 900_000_000;

/// Longest life of a presigned link, seconds.
pub const EXPIRES_S_MAX: i64 = 604_800;

/// Stands for the secret of an unknown key, so that unknown and known keys cost the same work.
pub const DUMMY_SECRET: &str = "0000000000000000000000000000000000000000";

/// The payload hash of an unsigned body.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Where the signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// `Authorization` header.
    Header,
    /// Query of a presigned link.
    Presigned,
}

/// What `x-amz-content-sha256` says about the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadMode {
    /// Plain body with this SHA-256, lower-case hex.
    Sha256(String),
    /// Plain body, not signed.
    Unsigned,
    /// Signed chunks.
    SignedChunks,
    /// Signed chunks and signed trailers.
    SignedChunksTrailer,
    /// Chunks without signature, then trailers.
    UnsignedTrailer,
}

impl PayloadMode {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, S3Error> {
        match value {
            UNSIGNED_PAYLOAD => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunksTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedTrailer),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(S3Error::not_implemented().saying("signature version 4A is not supported, use AWS4-HMAC-SHA256"))
            }
            hash if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self::Sha256(hash.to_ascii_lowercase()))
            }
            _ => Err(S3Error::invalid_argument()
                .saying("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value or a valid sha256 value.")
                .with("ArgumentName", "x-amz-content-sha256")
                .with("ArgumentValue", value)),
        }
    }

    /// Tells whether the wire body is framed in chunks of its own.
    #[must_use]
    pub fn is_framed(&self) -> bool {
        !matches!(self, Self::Sha256(_) | Self::Unsigned)
    }
}

/// A signature that is claimed and not yet proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Header or presigned.
    pub kind: AuthKind,
    /// Whose secret is needed.
    pub access_key_id: String,
    /// Region of the credential scope.
    pub region: String,
    scope_date: String,
    signed_headers: Vec<String>,
    signature: String,
    amz_date: String,
    date_us: i64,
    expires_s: Option<i64>,
    payload_hash: String,
    payload: PayloadMode,
}

/// A signature that was proven; the start of the chain of chunk signatures.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Header or presigned.
    pub kind: AuthKind,
    /// Signature of the request, lower-case hex.
    pub signature: String,
    /// Signing key of the scope.
    pub key: SigningKey,
    /// `date/region/s3/aws4_request`.
    pub scope: String,
    /// `20260102T030405Z`.
    pub amz_date: String,
    /// How the body is sent.
    pub payload: PayloadMode,
}

/// A request as it came from the wire.
#[derive(Debug, Clone, Copy)]
pub struct WireRequest<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Raw path and query, as the URI has it.
    pub path_and_query: &'a str,
    /// Headers as received.
    pub headers: &'a HeaderMap,
}

impl<'a> WireRequest<'a> {
    fn split(&self) -> (&'a str, &'a str) {
        self.path_and_query.split_once('?').unwrap_or((self.path_and_query, ""))
    }
}

fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}

/// Finds the signature of a request: phase one.
///
/// The error of a request without any signature is `AccessDenied`.
pub fn parse(request: &WireRequest<'_>) -> Result<Claim, S3Error> {
    let (_, raw_query) = request.split();
    let query = Query::parse(raw_query);
    let header = text_header(request.headers, "authorization");
    let presigned = query.has("X-Amz-Signature") || query.has("X-Amz-Algorithm");
    let version_two = query.has("Signature") && query.has("AWSAccessKeyId");
    match (header, presigned) {
        (Some(_), true) => Err(S3Error::invalid_argument()
            .saying("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified")),
        (None, true) => parse_presigned(&query, request.headers),
        (Some(text), false) if text.starts_with("AWS4-ECDSA-P256-SHA256") => Err(not_v4a()),
        (Some(text), false) if text.starts_with(ALGORITHM) => parse_header(&text, request.headers),
        (Some(text), false) if text.starts_with("AWS ") => Err(use_version_four()),
        (Some(_), false) => Err(S3Error::invalid_argument().saying("Unsupported Authorization Type")),
        (None, false) if version_two => Err(use_version_four()),
        (None, false) => Err(S3Error::access_denied()),
    }
}

fn use_version_four() -> S3Error {
    S3Error::invalid_request()
        .saying("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

fn not_v4a() -> S3Error {
    S3Error::not_implemented().saying("signature version 4A is not supported, use AWS4-HMAC-SHA256")
}

/// AWS allows 128 characters in an access key id; regions are far shorter.
const ACCESS_KEY_BYTES_MAX: usize = 128;
const REGION_BYTES_MAX: usize = 64;

struct Credential {
    access_key_id: String,
    date: String,
    region: String,
}

/// Reads `key/20260102/region/s3/aws4_request`; the key id itself may hold slashes.
fn parse_credential(text: &str) -> Option<Credential> {
    let mut pieces = text.rsplitn(5, '/');
    let (terminator, service, region, date, access_key_id) =
        (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
    let date_holds = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let short = access_key_id.len() <= ACCESS_KEY_BYTES_MAX && region.len() <= REGION_BYTES_MAX;
    (short && terminator == "aws4_request" && service == "s3" && date_holds && !access_key_id.is_empty()).then(|| {
        Credential { access_key_id: access_key_id.to_owned(), date: date.to_owned(), region: region.to_owned() }
    })
}

fn parse_signed_headers(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text.split(';').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect();
    names.sort();
    names.dedup();
    names
}

fn parse_header(text: &str, headers: &HeaderMap) -> Result<Claim, S3Error> {
    let malformed = |message: &str| S3Error::authorization_header_malformed().saying(message);
    let fields = text[ALGORITHM.len()..].trim_start();
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in fields.split(',') {
        match field.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed_headers = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => {}
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
        return Err(malformed(
            "The authorization header is malformed; Credential, SignedHeaders and Signature are needed.",
        ));
    };
    let credential = parse_credential(credential).ok_or_else(|| {
        malformed("The authorization header is malformed; the Credential is not key/date/region/s3/aws4_request.")
    })?;
    let (amz_date, date_us) = request_date(headers)?;
    if !amz_date.starts_with(&credential.date) {
        return Err(malformed(
            "The authorization header is malformed; the date of the Credential is not that of the request.",
        ));
    }
    let payload_hash = text_header(headers, "x-amz-content-sha256").ok_or_else(|| {
        S3Error::invalid_request().saying("Missing required header for this request: x-amz-content-sha256")
    })?;
    Ok(Claim {
        kind: AuthKind::Header,
        access_key_id: credential.access_key_id,
        region: credential.region,
        scope_date: credential.date,
        signed_headers: parse_signed_headers(signed_headers),
        signature: signature.to_owned(),
        amz_date,
        date_us,
        expires_s: None,
        payload: PayloadMode::parse(&payload_hash)?,
        payload_hash,
    })
}

fn request_date(headers: &HeaderMap) -> Result<(String, i64), S3Error> {
    let refused = || S3Error::access_denied().saying("AWS authentication requires a valid Date or x-amz-date header");
    if let Some(text) = text_header(headers, "x-amz-date") {
        if let Some(at_us) = dates::parse_amz(&text) {
            return Ok((text, at_us));
        }
        let at_us = dates::parse_http(&text).ok_or_else(refused)?;
        return Ok((dates::format_amz(at_us), at_us));
    }
    let text = text_header(headers, "date").ok_or_else(refused)?;
    let at_us = dates::parse_http(&text).or_else(|| dates::parse_amz(&text)).ok_or_else(refused)?;
    Ok((dates::format_amz(at_us), at_us))
}

fn parse_presigned(query: &Query, headers: &HeaderMap) -> Result<Claim, S3Error> {
    let malformed = |message: &str| S3Error::authorization_query_malformed().saying(message);
    let need = |name: &str| {
        query.text(name).ok_or_else(|| {
            malformed("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
        })
    };
    match need("X-Amz-Algorithm")?.as_str() {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => return Err(not_v4a()),
        _ => return Err(malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
    }
    let credential = parse_credential(&need("X-Amz-Credential")?)
        .ok_or_else(|| malformed("X-Amz-Credential must be key/date/region/s3/aws4_request"))?;
    let amz_date = need("X-Amz-Date")?;
    let date_us = dates::parse_amz(&amz_date)
        .ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    if !amz_date.starts_with(&credential.date) {
        return Err(malformed("The date of X-Amz-Credential is not that of X-Amz-Date."));
    }
    let expires_text = need("X-Amz-Expires")?;
    let expires_s: i64 = expires_text.parse().map_err(|_| malformed("X-Amz-Expires should be a number"))?;
    if expires_s < 0 {
        return Err(malformed("X-Amz-Expires must be non-negative"));
    }
    if expires_s > EXPIRES_S_MAX {
        return Err(malformed(
            "X-Amz-Expires must be less than a week (in seconds) that is, the given X-Amz-Expires must be less than 604800 seconds",
        ));
    }
    let payload_hash = text_header(headers, "x-amz-content-sha256")
        .or_else(|| query.text("X-Amz-Content-Sha256"))
        .unwrap_or_else(|| UNSIGNED_PAYLOAD.to_owned());
    Ok(Claim {
        kind: AuthKind::Presigned,
        access_key_id: credential.access_key_id,
        region: credential.region,
        scope_date: credential.date,
        signed_headers: parse_signed_headers(&need("X-Amz-SignedHeaders")?),
        signature: need("X-Amz-Signature")?,
        amz_date,
        date_us,
        expires_s: Some(expires_s),
        payload: PayloadMode::parse(&payload_hash)?,
        payload_hash,
    })
}

/// What the verifier accepts beyond the protocol.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The only region accepted in scopes; any when none.
    pub region: Option<String>,
    /// Host names tried besides the `host` header, for terminators that rewrite it.
    pub public_hosts: Vec<String>,
}

/// Proves a claim with the secret: phase two.
///
/// For an unknown key id call it with [`DUMMY_SECRET`] and answer `InvalidAccessKeyId` whatever it
/// says.
pub fn verify(
    claim: &Claim,
    request: &WireRequest<'_>,
    secret: &str,
    cache: &SigningKeyCache,
    policy: &Policy,
    now_us: i64,
) -> Result<Verified, S3Error> {
    check_region(claim, policy)?;
    check_headers(claim, request.headers)?;
    check_date(claim, now_us)?;
    let key = cache.key(&claim.access_key_id, secret, &claim.scope_date, &claim.region);
    let scope = canonical::scope(&claim.scope_date, &claim.region);
    if !matches_signature(claim, request, &key, &scope, policy) {
        return Err(S3Error::signature_does_not_match().with("AWSAccessKeyId", claim.access_key_id.clone()));
    }
    Ok(Verified {
        kind: claim.kind,
        signature: claim.signature.clone(),
        key,
        scope,
        amz_date: claim.amz_date.clone(),
        payload: claim.payload.clone(),
    })
}

/// Tries the raw form first, then the re-encoded ones, and each host name that clients may have used.
fn matches_signature(claim: &Claim, request: &WireRequest<'_>, key: &SigningKey, scope: &str, policy: &Policy) -> bool {
    const READINGS: [(Reading, Reading); 4] = [
        (Reading::Raw, Reading::Recoded),
        (Reading::Raw, Reading::Raw),
        (Reading::Recoded, Reading::Recoded),
        (Reading::Recoded, Reading::Raw),
    ];
    let (path, query) = request.split();
    let hosts = std::iter::once(None).chain(policy.public_hosts.iter().map(|host| Some(host.as_str())));
    for host in hosts {
        let signed = Signed {
            method: request.method,
            path,
            query,
            headers: request.headers,
            signed_headers: &claim.signed_headers,
            host,
            payload_hash: &claim.payload_hash,
        };
        for (path_reading, query_reading) in READINGS {
            let hash = signed.hash(path_reading, query_reading);
            let expected = key.sign(canonical::string_to_sign(&claim.amz_date, scope, &hash).as_bytes());
            if bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
                return true;
            }
        }
    }
    false
}

fn check_region(claim: &Claim, policy: &Policy) -> Result<(), S3Error> {
    let Some(wanted) = policy.region.as_deref().filter(|wanted| *wanted != claim.region) else {
        return Ok(());
    };
    let error = match claim.kind {
        AuthKind::Header => S3Error::authorization_header_malformed(),
        AuthKind::Presigned => S3Error::authorization_query_malformed(),
    };
    Err(error
        .saying(format!("The authorization is malformed; the region '{}' is wrong; expecting '{wanted}'", claim.region))
        .with("Region", wanted))
}

/// An attacker must not be able to add meaning to a captured request: every `x-amz-` header present
/// must be covered.
fn check_headers(claim: &Claim, headers: &HeaderMap) -> Result<(), S3Error> {
    let covered = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    if !covered("host") {
        return Err(S3Error::access_denied().saying("The host header must be signed").with("HeadersNotSigned", "host"));
    }
    for name in headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-")) {
        let exempt = claim.kind == AuthKind::Presigned && name == "x-amz-content-sha256";
        if !covered(name) && !exempt {
            return Err(S3Error::access_denied()
                .saying("There were headers present in the request which were not signed")
                .with("HeadersNotSigned", name));
        }
    }
    Ok(())
}

fn check_date(claim: &Claim, now_us: i64) -> Result<(), S3Error> {
    let Some(expires_s) = claim.expires_s else {
        if (now_us - claim.date_us).abs() <= SKEW_US_MAX {
            return Ok(());
        }
        return Err(S3Error::request_time_too_skewed()
            .with("RequestTime", claim.amz_date.clone())
            .with("ServerTime", dates::format_iso(now_us))
            .with("MaxAllowedSkewMilliseconds", (SKEW_US_MAX / 1_000).to_string()));
    };
    if claim.date_us > now_us + SKEW_US_MAX {
        return Err(S3Error::access_denied().saying("Request is not valid yet"));
    }
    let ends_us = claim.date_us + expires_s * 1_000_000;
    if expires_s == 0 || now_us > ends_us {
        return Err(S3Error::access_denied()
            .saying("Request has expired")
            .with("X-Amz-Expires", expires_s.to_string())
            .with("Expires", dates::format_iso(ends_us))
            .with("ServerTime", dates::format_iso(now_us)));
    }
    Ok(())
}
