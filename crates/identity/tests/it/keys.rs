//! Fixed keys of the tests, one of each kind, that sign and show their public half. They protect nothing.

use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

const ES256: &[u8] = include_bytes!("fixtures/es256.pk8");
const ED25519: &[u8] = include_bytes!("fixtures/ed25519.pk8");
const RS256: &[u8] = include_bytes!("fixtures/rs256.pk8");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKey {
    Es256,
    EdDsa,
    Rs256,
}

pub const ALL: [TestKey; 3] = [TestKey::Es256, TestKey::EdDsa, TestKey::Rs256];

fn ed25519() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(ED25519).unwrap()
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(RS256).unwrap()
}

pub fn cbor(value: &Cbor) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

impl TestKey {
    /// As WebAuthn has it: ECDSA in DER.
    pub fn sign_der(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256 => {
                let random = SystemRandom::new();
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, ES256, &random).unwrap();
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            _ => self.sign_fixed(message),
        }
    }

    /// As JWS has it: ECDSA as two numbers.
    pub fn sign_fixed(self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256 => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ES256, &random).unwrap();
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::EdDsa => ed25519().sign(message).as_ref().to_vec(),
            Self::Rs256 => {
                let key = rsa();
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut out).unwrap();
                out
            }
        }
    }

    /// The two parts of the public key: x and y, x alone, or n and e.
    fn parts(self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Es256 => {
                let random = SystemRandom::new();
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ES256, &random).unwrap();
                let point = key.public_key().as_ref().to_vec();
                (point[1..33].to_vec(), point[33..].to_vec())
            }
            Self::EdDsa => (ed25519().public_key().as_ref().to_vec(), Vec::new()),
            Self::Rs256 => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(rsa().public());
                (public.n, public.e)
            }
        }
    }

    pub fn cose(self) -> Vec<u8> {
        let (a, b) = self.parts();
        let number = |number: i64| Cbor::from(number);
        let entries = match self {
            Self::Es256 => {
                vec![(1, number(2)), (3, number(-7)), (-1, number(1)), (-2, Cbor::Bytes(a)), (-3, Cbor::Bytes(b))]
            }
            Self::EdDsa => vec![(1, number(1)), (3, number(-8)), (-1, number(6)), (-2, Cbor::Bytes(a))],
            Self::Rs256 => vec![(1, number(3)), (3, number(-257)), (-1, Cbor::Bytes(a)), (-2, Cbor::Bytes(b))],
        };
        cbor(&Cbor::Map(entries.into_iter().map(|(label, value)| (number(label), value)).collect()))
    }

    pub fn algorithm(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The public key as a member of a JWKS, with the algorithm's name as its id.
    pub fn jwk(self) -> Value {
        let (a, b) = self.parts();
        let (a, b) = (BASE64URL_NOPAD.encode(&a), BASE64URL_NOPAD.encode(&b));
        let mut key = match self {
            Self::Es256 => json!({ "kty": "EC", "crv": "P-256", "x": a, "y": b }),
            Self::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": a }),
            Self::Rs256 => json!({ "kty": "RSA", "n": a, "e": b }),
        };
        key["kid"] = json!(self.algorithm());
        key["use"] = json!("sig");
        key
    }
}
