//! The S3 protocol against published vectors, tampered bodies and its own signer.

mod bodies;
mod guard;
mod oracle;
mod round_trip;
mod vectors;

use bytes::Bytes;
use http::HeaderMap;
use s3::payload::ChecksumsOf;
use s3::sigv4::{Policy, SigningKeyCache, WireRequest, parse, verify};
use s3::{PayloadDecoder, S3Error, Verified};
use std::collections::VecDeque;

/// Secret of the vectors.
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// Key id of the vectors.
pub const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";

/// Headers from `name: value` lines.
pub fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

/// Parses and verifies with the secret of the vectors.
pub fn check(method: &str, target: &str, headers: &HeaderMap, now_us: i64) -> Result<Verified, S3Error> {
    let request = WireRequest { method, path_and_query: target, headers };
    let claim = parse(&request)?;
    assert_eq!(claim.access_key_id, KEY_ID);
    verify(&claim, &request, SECRET, &SigningKeyCache::default(), &Policy::default(), now_us)
}

/// Runs a wire body through the decoder in frames of `frame_bytes`.
pub fn decode(verified: &Verified, headers: &HeaderMap, wire: &[u8], frame_bytes: usize) -> Result<Vec<u8>, S3Error> {
    let mut decoder = PayloadDecoder::new(verified, headers, ChecksumsOf::Body)?;
    let mut out = VecDeque::new();
    for frame in wire.chunks(frame_bytes) {
        decoder.feed(Bytes::copy_from_slice(frame), &mut out)?;
    }
    decoder.finish()?;
    Ok(out.into_iter().flatten().collect())
}
