//! Signatures of the three algorithms that passkeys and identity providers use, verified by ring.

use crate::Rejected;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// RFC 7518 section 3.3 asks for 2048 bits at least; ring takes 8192 at most.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
const EXPONENT_BYTES_MAX: usize = 4;

/// A public key with its algorithm: neither is ever taken from what is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// ECDSA on P-256 with SHA-256: the uncompressed point.
    Es256(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256 {
        /// Big-endian, no leading zero.
        modulus: Vec<u8>,
        /// Big-endian, no leading zero.
        exponent: Vec<u8>,
    },
}

/// How an ECDSA signature is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EcdsaForm {
    /// ASN.1 DER: WebAuthn section 6.5.5.
    Der,
    /// Two numbers of 32 bytes: RFC 7518 section 3.4.
    Fixed,
}

fn wrong(reason: &str) -> Rejected {
    Rejected::silent("public key", reason)
}

fn coordinate(bytes: Option<&[u8]>) -> Result<&[u8], Rejected> {
    bytes.filter(|bytes| bytes.len() == 32).ok_or_else(|| wrong("needs coordinates of 32 bytes"))
}

fn without_zeros(bytes: Option<&[u8]>) -> &[u8] {
    let bytes = bytes.unwrap_or_default();
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

impl Key {
    pub(crate) fn es256(x: Option<&[u8]>, y: Option<&[u8]>) -> Result<Self, Rejected> {
        Ok(Self::Es256([&[4], coordinate(x)?, coordinate(y)?].concat()))
    }

    pub(crate) fn ed25519(x: Option<&[u8]>) -> Result<Self, Rejected> {
        Ok(Self::Ed25519(coordinate(x)?.to_vec()))
    }

    pub(crate) fn rs256(modulus: Option<&[u8]>, exponent: Option<&[u8]>) -> Result<Self, Rejected> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        if !MODULUS_BYTES.contains(&modulus.len()) {
            return Err(wrong("needs an RSA modulus of 2048 to 8192 bits"));
        }
        if !(1..=EXPONENT_BYTES_MAX).contains(&exponent.len()) {
            return Err(wrong("needs an RSA exponent of at most 32 bits"));
        }
        Ok(Self::Rs256 { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(&self, form: EcdsaForm, message: &[u8], signature: &[u8]) -> bool {
        let plain = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match (self, form) {
            (Self::Es256(point), EcdsaForm::Der) => plain(&ECDSA_P256_SHA256_ASN1, point),
            (Self::Es256(point), EcdsaForm::Fixed) => plain(&ECDSA_P256_SHA256_FIXED, point),
            (Self::Ed25519(point), _) => plain(&ED25519, point),
            (Self::Rs256 { modulus, exponent }, _) => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}
