//! Secrets: sealed at rest, hashed where only a comparison is needed, shown once.

use crate::failure::{Failure, Kind};
use base::{RealmId, World};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

/// Seals secrets with the installation's key. What a sealed value belongs to is part of the seal: a value
/// moved to another row does not open.
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl Vault {
    /// A vault with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.into()) }
    }

    pub(crate) fn seal(&self, world: &dyn World, belongs_to: &str, secret: &str) -> String {
        let mut nonce = [0_u8; 24];
        world.fill_random(&mut nonce);
        let payload = Payload { msg: secret.as_bytes(), aad: belongs_to.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("sealing memory cannot fail");
        STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    pub(crate) fn open(&self, belongs_to: &str, sealed: &str) -> Result<String, Failure> {
        let broken = || Failure::new(Kind::Internal, "a sealed secret does not open: is this the right key file?");
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| broken())?;
        let (nonce, body) = bytes.split_first_chunk::<24>().ok_or_else(broken)?;
        let payload = Payload { msg: body, aad: belongs_to.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())?;
        String::from_utf8(plain).map_err(|_| broken())
    }
}

/// `bits` of chance as URL-safe text.
pub(crate) fn random_text(world: &dyn World, bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    world.fill_random(&mut random);
    URL_SAFE_NO_PAD.encode(random)
}

/// SHA-256 of a high-entropy secret, for look-up.
#[must_use]
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Splits `rlm_….secret`.
pub(crate) fn realm_of(secret: &str) -> Option<RealmId> {
    secret.split_once('.').and_then(|(realm, _)| realm.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;
    impl World for Still {
        fn now_us(&self) -> i64 {
            0
        }
        fn fill_random(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    #[test]
    fn a_secret_opens_only_where_it_belongs() {
        let vault = Vault::new(&[1; 32]);
        let sealed = vault.seal(&Still, "acc_1", "s3cr3t");
        assert!(!sealed.contains("s3cr3t"));
        assert_eq!(vault.open("acc_1", &sealed).unwrap(), "s3cr3t");
        assert!(vault.open("acc_2", &sealed).is_err());
        assert!(Vault::new(&[2; 32]).open("acc_1", &sealed).is_err());
        assert!(vault.open("acc_1", "!").is_err());
    }
}
