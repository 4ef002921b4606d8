//! Authenticator data and the attestation object: binary with CBOR inside (sections 6.1, 6.5; RFC 8949).

use crate::Rejected;
use crate::webauthn::cbor::{get, take_map};
use crate::webauthn::key::PublicKey;
use ciborium::Value;

/// Section 7.1 step 25: longer credential ids are refused.
pub const CREDENTIAL_ID_BYTES_MAX: usize = 1_023;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// A new credential inside authenticator data.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) aaguid: [u8; 16],
    pub(crate) id: Vec<u8>,
    pub(crate) key_cose: Vec<u8>,
}

/// Authenticator data, taken apart to its last byte.
#[derive(Debug)]
pub(crate) struct AuthenticatorData {
    pub(crate) rp_id_hash: [u8; 32],
    pub(crate) sign_count: u32,
    pub(crate) credential: Option<Credential>,
    flags: u8,
}

fn wrong(reason: impl Into<String>) -> Rejected {
    Rejected::silent("authenticator data", reason)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], Rejected> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| wrong("ends too early"))?;
    *rest = tail;
    Ok(head)
}

impl AuthenticatorData {
    /// Section 6.1: hash, flags, counter, credential, extensions, and nothing behind.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Rejected> {
        let mut rest = bytes;
        let rp_id_hash = *take::<32>(&mut rest)?;
        let [flags] = *take::<1>(&mut rest)?;
        let sign_count = u32::from_be_bytes(*take::<4>(&mut rest)?);
        let credential = if flags & HAS_CREDENTIAL == 0 { None } else { Some(credential(&mut rest)?) };
        if flags & HAS_EXTENSIONS != 0 {
            take_map("extensions", &mut rest)?;
        }
        if !rest.is_empty() {
            return Err(wrong("has bytes behind its end"));
        }
        let data = Self { rp_id_hash, sign_count, credential, flags };
        if data.is_backed_up() && !data.is_backup_eligible() {
            return Err(wrong("says backed up but not eligible for backup"));
        }
        Ok(data)
    }

    pub(crate) fn is_user_present(&self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    pub(crate) fn is_user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    pub(crate) fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(crate) fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

/// Section 6.5.1: attested credential data.
fn credential(rest: &mut &[u8]) -> Result<Credential, Rejected> {
    let aaguid = *take::<16>(rest)?;
    let length = usize::from(u16::from_be_bytes(*take::<2>(rest)?));
    if !(1..=CREDENTIAL_ID_BYTES_MAX).contains(&length) {
        return Err(wrong("has a credential id outside 1 to 1023 bytes"));
    }
    let (id, tail) = rest.split_at_checked(length).ok_or_else(|| wrong("ends too early"))?;
    let (_, behind) = PublicKey::parse(tail)?;
    let (key_cose, tail) = tail.split_at(tail.len() - behind.len());
    *rest = tail;
    Ok(Credential { aaguid, id: id.to_vec(), key_cose: key_cose.to_vec() })
}

/// Takes the authenticator data out of an attestation object. The statement is skipped, whatever its format.
pub(crate) fn attested(object: &[u8]) -> Result<Vec<u8>, Rejected> {
    const FIELD: &str = "attestation object";
    let mut rest = object;
    let entries = take_map(FIELD, &mut rest)?;
    if !rest.is_empty() {
        return Err(Rejected::silent(FIELD, "has bytes behind its end"));
    }
    match get(FIELD, &entries, &Value::from("authData"))? {
        Some(Value::Bytes(bytes)) => Ok(bytes.clone()),
        _ => Err(Rejected::silent(FIELD, "has no authData")),
    }
}
