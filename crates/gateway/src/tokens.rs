//! Continuation tokens that tell the client nothing: sealed with a key of the installation and bound
//! to the place they were given for.
//!
//! Upstream tokens may be plain real keys and would show a hidden prefix. The seal is synthetic-IV
//! style: the MAC over context and text is the start of the key stream, so equal positions give equal
//! tokens and no chance is needed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const TAG_BYTES: usize = 16;

fn mac(key: &[u8; 32], pieces: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts keys of any length");
    for piece in pieces {
        mac.update(&(piece.len() as u64).to_be_bytes());
        mac.update(piece);
    }
    let mut out = [0_u8; 32];
    out.copy_from_slice(mac.finalize().as_bytes().as_slice());
    out
}

fn apply_stream(key: &[u8; 32], tag: &[u8], text: &mut [u8]) {
    for (index, block) in text.chunks_mut(32).enumerate() {
        let stream = mac(key, &[b"stream", tag, &(index as u64).to_be_bytes()]);
        for (byte, mask) in block.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }
}

/// Seals a position for a context such as a mapping id.
pub(crate) fn seal(key: &[u8; 32], context: &str, text: &str) -> String {
    let tag = mac(key, &[b"tag", context.as_bytes(), text.as_bytes()]);
    let mut sealed = tag[..TAG_BYTES].to_vec();
    let mut hidden = text.as_bytes().to_vec();
    apply_stream(key, &sealed, &mut hidden);
    sealed.extend_from_slice(&hidden);
    URL_SAFE_NO_PAD.encode(sealed)
}

/// Opens a token; none when it was made elsewhere or for another context.
pub(crate) fn open(key: &[u8; 32], context: &str, token: &str) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (tag, hidden) = sealed.split_at_checked(TAG_BYTES)?;
    let mut text = hidden.to_vec();
    apply_stream(key, tag, &mut text);
    let expected = mac(key, &[b"tag", context.as_bytes(), &text]);
    let differences = expected[..TAG_BYTES].iter().zip(tag).fold(0_u8, |sum, (left, right)| sum | (left ^ right));
    if differences != 0 {
        return None;
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_only_where_they_belong() {
        let key = [7; 32];
        let token = seal(&key, "map_1", "hidden/prefix/ä key that is longer than one block");
        assert_eq!(open(&key, "map_1", &token).as_deref(), Some("hidden/prefix/ä key that is longer than one block"));
        assert_eq!(open(&key, "map_2", &token), None);
        assert_eq!(open(&[8; 32], "map_1", &token), None);
        assert_eq!(open(&key, "map_1", "AAAA"), None);
        assert_eq!(open(&key, "map_1", "not base64!"), None);
        let raw = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(!raw.windows(6).any(|window| window == b"hidden"));
    }
}
