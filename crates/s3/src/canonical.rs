//! The canonical request of signature version 4, S3 flavour, and the arithmetic around it.

use crate::names;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The only algorithm that is spoken.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How the path and the query are written into the canonical request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As received. Right for every client that encodes canonically.
    Raw,
    /// Decoded and encoded again, for clients that sign the canonical form but send another.
    Recoded,
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts keys of any length");
    mac.update(message);
    let mut out = [0_u8; 32];
    out.copy_from_slice(mac.finalize().as_bytes().as_slice());
    out
}

/// The `CanonicalQuery`: pairs sorted by encoded name, then value, without `X-Amz-Signature`.
pub(crate) fn query(raw: &str, reading: Reading) -> String {
    let mut pairs: Vec<(String, String)> = raw
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| match reading {
            Reading::Raw => (name.to_owned(), value.to_owned()),
            Reading::Recoded => {
                (names::encode_value(&names::decode_plus(name)), names::encode_value(&names::decode_plus(value)))
            }
        })
        .collect();
    pairs.sort();
    let pieces: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pieces.join("&")
}

/// A header's canonical value: trimmed, runs of spaces to one, repeated headers joined with a comma.
pub(crate) fn header_value(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let words = value.as_bytes().split(|byte| *byte == b' ' || *byte == b'\t').filter(|word| !word.is_empty());
        for (position, word) in words.enumerate() {
            if position > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out
}

/// The parts of a request that a signature covers.
pub(crate) struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// Lower case, sorted.
    pub signed_headers: &'a [String],
    /// Stands for the `host` header when a terminator in front has rewritten it.
    pub host: Option<&'a str>,
    pub payload_hash: &'a str,
}

impl Signed<'_> {
    /// Hex of the SHA-256 of the canonical request.
    pub(crate) fn hash(&self, path_reading: Reading, query_reading: Reading) -> String {
        let mut text: Vec<u8> = Vec::with_capacity(512);
        text.extend_from_slice(self.method.as_bytes());
        text.push(b'\n');
        match path_reading {
            Reading::Raw => text.extend_from_slice(self.path.as_bytes()),
            Reading::Recoded => text.extend_from_slice(names::canonical_path(self.path).as_bytes()),
        }
        text.push(b'\n');
        text.extend_from_slice(query(self.query, query_reading).as_bytes());
        text.push(b'\n');
        for name in self.signed_headers {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            match self.host {
                Some(host) if name == "host" => text.extend_from_slice(host.as_bytes()),
                _ => text.extend_from_slice(&header_value(self.headers, name)),
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed_headers.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(self.payload_hash.as_bytes());
        hex::encode(Sha256::digest(&text).as_slice())
    }
}

/// The string to sign of a request.
pub(crate) fn string_to_sign(amz_date: &str, scope: &str, canonical_hash: &str) -> String {
    format!("{ALGORITHM}\n{amz_date}\n{scope}\n{canonical_hash}")
}

/// The credential scope of S3.
pub(crate) fn scope(date: &str, region: &str) -> String {
    format!("{date}/{region}/s3/aws4_request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_sorted_by_name_then_value() {
        assert_eq!(query("b=2&a=3&a=1&flag&X-Amz-Signature=no", Reading::Recoded), "a=1&a=3&b=2&flag=");
        assert_eq!(query("a=x+y&b=%7E", Reading::Recoded), "a=x%20y&b=~");
        assert_eq!(query("b=%7E", Reading::Raw), "b=%7E");
    }

    #[test]
    fn header_values_are_trimmed_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta-note", "  two   spaces ".parse().unwrap());
        headers.append("x-amz-meta-note", "more".parse().unwrap());
        assert_eq!(header_value(&headers, "x-amz-meta-note"), b"two spaces,more");
    }

    proptest! {
        #[test]
        fn recoding_is_idempotent_and_ignores_order(mut pieces in proptest::collection::vec("[a-z]{1,3}=[ -%'-~]{0,5}", 0..6)) {
            let once = query(&pieces.join("&"), Reading::Recoded);
            prop_assert_eq!(query(&once, Reading::Recoded), once.clone());
            pieces.reverse();
            prop_assert_eq!(query(&pieces.join("&"), Reading::Recoded), once);
        }
    }
}
