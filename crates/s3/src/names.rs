//! Names: percent encoding as S3 does it, bucket rules, hidden prefixes, and the hashes that name
//! objects in the metering index.

use base::AccountId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

/// Longest key in bytes, hidden prefix included.
pub const KEY_BYTES_MAX: usize = 1_024;

const VALUE_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const KEY_SET: &AsciiSet = &VALUE_SET.remove(b'/');

/// Encodes a key or a path: everything but `A-Za-z0-9-._~` and `/`.
#[must_use]
pub fn encode_key(bytes: &[u8]) -> String {
    percent_encode(bytes, KEY_SET).to_string()
}

/// Encodes a query name or value: everything but `A-Za-z0-9-._~`.
#[must_use]
pub fn encode_value(bytes: &[u8]) -> String {
    percent_encode(bytes, VALUE_SET).to_string()
}

/// Decodes percent escapes; a `+` stays a plus.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// Decodes percent escapes and `+` as a space, as query strings have it.
#[must_use]
pub fn decode_plus(text: &str) -> Vec<u8> {
    if text.contains('+') { percent_decode_str(&text.replace('+', " ")).collect() } else { decode(text) }
}

/// Brings a raw path into the one encoding that every server computes its signature from.
///
/// The decoded bytes stay the same; `//` and dot segments stay as they are.
#[must_use]
pub fn canonical_path(raw: &str) -> String {
    encode_key(&decode(raw))
}

/// Tells whether `name` follows the bucket rules: 3 to 63 of `a-z0-9.-`, DNS labels, no IP address.
#[must_use]
pub fn valid_bucket_name(name: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !(3..=63).contains(&name.len()) || !name.bytes().all(alphabet) {
        return false;
    }
    let labels_hold =
        name.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    let reserved = ["xn--", "sthree-"].iter().any(|start| name.starts_with(start))
        || ["-s3alias", "--ol-s3"].iter().any(|end| name.ends_with(end));
    labels_hold && !reserved && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// Tells whether a path made of these bytes could climb: it has a `.` or `..` segment that some
/// upstreams would resolve, out of the hidden prefix or even the bucket.
#[must_use]
pub fn has_dot_segment(key: &[u8]) -> bool {
    key.split(|byte| *byte == b'/').any(is_dots)
}

/// As [`has_dot_segment`], but the last segment may be the unfinished start of a name (`prefix=.`).
#[must_use]
pub fn prefix_has_dot_segment(prefix: &[u8]) -> bool {
    let mut segments: Vec<&[u8]> = prefix.split(|byte| *byte == b'/').collect();
    segments.pop();
    segments.into_iter().any(is_dots)
}

fn is_dots(segment: &[u8]) -> bool {
    segment == b"." || segment == b".."
}

/// Puts the hidden prefix before a key that is still percent-encoded as the client sent it.
#[must_use]
pub fn prefix_raw_key(prefix: &str, raw_key: &str) -> String {
    format!("{}{raw_key}", encode_key(prefix.as_bytes()))
}

/// Strips the decoded `prefix` from the percent-encoded text `encoded`, leaving the rest byte for byte.
///
/// Upstreams differ in what they escape, so the prefix is compared after decoding.
#[must_use]
pub fn strip_encoded<'a>(encoded: &'a str, prefix: &[u8]) -> Option<&'a str> {
    let bytes = encoded.as_bytes();
    let mut at = 0;
    for wanted in prefix {
        let (found, used) = match bytes.get(at)? {
            b'%' => (u8::from_str_radix(encoded.get(at + 1..at + 3)?, 16).ok()?, 3),
            b'+' => (b' ', 1),
            plain => (*plain, 1),
        };
        if found != *wanted {
            return None;
        }
        at += used;
    }
    encoded.get(at..)
}

/// Lower-case hex of the SHA-256 of `bytes`.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes).as_slice())
}

/// Names an object in the metering index: hex of the first 16 bytes of SHA-256 over
/// `account_id \0 real_bucket \0 real_key`.
#[must_use]
pub fn object_hash(account: AccountId, real_bucket: &str, real_key: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(account.to_string().as_bytes());
    hasher.update([0_u8]);
    hasher.update(real_bucket.as_bytes());
    hasher.update([0_u8]);
    hasher.update(real_key);
    hex::encode(&hasher.finalize().as_slice()[..16])
}

/// Names one version of an object in the metering index. The null version, which is the only one without versioning, is
/// named as the object itself; others follow it after a dot.
#[must_use]
pub fn version_hash(object: &str, version: &str) -> String {
    if version.is_empty() || version == "null" {
        return object.to_owned();
    }
    format!("{object}.{}", &sha256_hex(version.as_bytes())[..32])
}

/// Names an unfinished multipart upload in the metering index: as [`object_hash`], over
/// `account_id \0 upload_id`.
#[must_use]
pub fn upload_hash(account: AccountId, upload_id: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(account.to_string().as_bytes());
    hasher.update([0_u8]);
    hasher.update(upload_id.as_bytes());
    hex::encode(&hasher.finalize().as_slice()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bucket_rules() {
        for good in ["abc", "a-b.c-d", "123", "a".repeat(63).as_str()] {
            assert!(valid_bucket_name(good), "{good}");
        }
        for bad in ["ab", "Abc", "a_b", "a..b", "-ab", "ab-", "a.-b", "192.168.5.4", "xn--a", "a".repeat(64).as_str()] {
            assert!(!valid_bucket_name(bad), "{bad}");
        }
    }

    #[test]
    fn dot_segments() {
        for bad in ["..", "a/../b", "./a", "a/.."] {
            assert!(has_dot_segment(bad.as_bytes()), "{bad}");
        }
        assert!(!has_dot_segment(b"a/..b/.c/d."));
        assert!(!prefix_has_dot_segment(b"a/."));
        assert!(prefix_has_dot_segment(b"../a"));
    }

    #[test]
    fn strips_whatever_the_upstream_escaped() {
        assert_eq!(strip_encoded("t%2Fa+b/x%20y", b"t/a b/"), Some("x%20y"));
        assert_eq!(strip_encoded("t/a", b"u/"), None);
        assert_eq!(strip_encoded("t", b"t/"), None);
    }

    proptest! {
        #[test]
        fn encoding_round_trips(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode_key(&bytes)), bytes.clone());
            prop_assert_eq!(decode_plus(&encode_value(&bytes)), bytes.clone());
            prop_assert_eq!(canonical_path(&encode_key(&bytes)), encode_key(&bytes));
            let encoded = encode_key(&bytes);
            prop_assert_eq!(strip_encoded(&encoded, &bytes), Some(""));
        }
    }
}
