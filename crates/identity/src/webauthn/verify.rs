//! The two checks: of a new passkey, and of a sign-in with one.

use crate::Rejected;
use crate::signature::EcdsaForm;
use crate::webauthn::answer::{Answer, Asserted, ClientData, Created, read};
use crate::webauthn::authenticator::{AuthenticatorData, attested};
use crate::webauthn::key::PublicKey;
use crate::webauthn::options::RelyingParty;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Transports that browsers know (section 5.8.4); others are left out.
const TRANSPORTS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

/// What the ceremony was begun with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who we are.
    pub party: &'a RelyingParty,
    /// The challenge that was handed out for this ceremony, and only for it.
    pub challenge: &'a [u8; 32],
    /// Whether the device must have checked the person (fingerprint, PIN): then it counts as two factors.
    pub verification_required: bool,
}

/// A passkey as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Credential id, unique in an installation: the caller refuses one that is known.
    pub id: Vec<u8>,
    /// Public key in COSE form.
    pub key_cose: Vec<u8>,
    /// The authenticator's counter; zero for those that have none.
    pub sign_count: u32,
    /// Model of the authenticator, zeros for most.
    pub aaguid: [u8; 16],
    /// Whether it may leave the device: a synced passkey. It never changes (section 6.1.3).
    pub backup_eligible: bool,
    /// Whether a copy exists.
    pub backed_up: bool,
    /// Whether the device checked the person when it was made.
    pub user_verified: bool,
    /// How the browser reached the authenticator.
    pub transports: Vec<String>,
}

/// What a sign-in tells, and what of it is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// The counter to store.
    pub sign_count: u32,
    /// Whether the device checked the person: two factors in one.
    pub user_verified: bool,
    /// Whether a copy exists now.
    pub backed_up: bool,
}

/// Why a passkey was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// A part is unreadable or is not what the ceremony was begun with.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The counter did not grow: two copies of the key may exist (section 6.1.1). Worth an alarm.
    #[error("the passkey's counter fell from {stored} to {sent}; it may have been copied")]
    CounterFell {
        /// What we had.
        stored: u32,
        /// What came.
        sent: u32,
    },
}

fn reject(field: &str, reason: &str) -> WebauthnError {
    WebauthnError::Rejected(Rejected::silent(field, reason))
}

/// Section 7.1 steps 7 to 11, 7.2 steps 11 to 14.
fn check_client_data(expected: &Expected<'_>, kind: &str, bytes: &[u8]) -> Result<(), WebauthnError> {
    let data: ClientData = serde_json::from_slice(bytes)
        .map_err(|error| Rejected::silent("client data", format!("cannot be read: {error}")))?;
    if data.kind != kind {
        return Err(Rejected::new("client data's type", &data.kind, format!("is not {kind}")).into());
    }
    let want = BASE64URL_NOPAD.encode(expected.challenge);
    if !bool::from(data.challenge.trim_end_matches('=').as_bytes().ct_eq(want.as_bytes())) {
        return Err(reject("challenge", "is not the one of this page; load it again"));
    }
    if data.origin != expected.party.origin {
        return Err(Rejected::new("origin", &data.origin, format!("is not {}", expected.party.origin)).into());
    }
    if data.cross_origin {
        return Err(reject("client data", "comes from a frame in a foreign page"));
    }
    Ok(())
}

/// Section 7.1 steps 14 to 17, 7.2 steps 15 to 18.
fn check_data(expected: &Expected<'_>, data: &AuthenticatorData) -> Result<(), WebauthnError> {
    if data.rp_id_hash[..] != Sha256::digest(expected.party.id.as_bytes())[..] {
        return Err(reject("passkey", "belongs to another site"));
    }
    if !data.is_user_present() {
        return Err(reject("passkey", "was used without touching the device"));
    }
    if expected.verification_required && !data.is_user_verified() {
        return Err(reject("passkey", "was used without fingerprint, face or PIN, which is required here"));
    }
    Ok(())
}

/// Checks the answer of `navigator.credentials.create` and gives the passkey to keep. `answer` is its JSON
/// form, plain or in base64url.
///
/// # Errors
/// [`WebauthnError`] naming the part at fault.
pub fn verify_registration(expected: &Expected<'_>, answer: &str) -> Result<Passkey, WebauthnError> {
    let answer: Answer<Created> = read(answer)?;
    check_client_data(expected, "webauthn.create", &answer.response.client_data.0)?;
    let data = AuthenticatorData::parse(&attested(&answer.response.attestation_object.0)?)?;
    check_data(expected, &data)?;
    let (user_verified, backup_eligible) = (data.is_user_verified(), data.is_backup_eligible());
    let (backed_up, sign_count) = (data.is_backed_up(), data.sign_count);
    let credential = data.credential.ok_or_else(|| reject("authenticator data", "has no credential"))?;
    if credential.id != answer.raw_id.0 {
        return Err(reject("credential id", "differs between answer and authenticator data"));
    }
    let sent = answer.response.transports;
    Ok(Passkey {
        id: credential.id,
        key_cose: credential.key_cose,
        sign_count,
        aaguid: credential.aaguid,
        backup_eligible,
        backed_up,
        user_verified,
        transports: sent
            .into_iter()
            .filter(|name| TRANSPORTS.contains(&name.as_str()))
            .take(TRANSPORTS.len())
            .collect(),
    })
}

/// The answer of `navigator.credentials.get`, read but not yet believed: its ids say which passkey to load.
pub struct AuthenticationAnswer {
    answer: Answer<Asserted>,
}

impl AuthenticationAnswer {
    /// Reads the JSON form, plain or in base64url.
    ///
    /// # Errors
    /// When it is not such an answer.
    pub fn read(text: &str) -> Result<Self, Rejected> {
        let answer: Answer<Asserted> = read(text)?;
        Ok(Self { answer })
    }

    /// The credential id it claims.
    #[must_use]
    pub fn credential_id(&self) -> &[u8] {
        &self.answer.raw_id.0
    }

    /// The user handle it claims, for a sign-in without a name.
    #[must_use]
    pub fn user_handle(&self) -> Option<&[u8]> {
        self.answer.response.user_handle.as_ref().map(|bytes| bytes.0.as_slice()).filter(|bytes| !bytes.is_empty())
    }

    /// Checks it against the passkey that was loaded by its credential id, and the handle of the passkey's
    /// owner. Who signs in without a name must send the handle: `handle_required` (section 7.2 step 6).
    ///
    /// # Errors
    /// [`WebauthnError`] naming the part at fault.
    pub fn verify(
        &self,
        expected: &Expected<'_>,
        passkey: &Passkey,
        owner_handle: &[u8],
        handle_required: bool,
    ) -> Result<SignedIn, WebauthnError> {
        let response = &self.answer.response;
        if self.credential_id() != passkey.id {
            return Err(reject("credential id", "is not that of the passkey"));
        }
        match self.user_handle() {
            Some(handle) if handle == owner_handle => {}
            None if !handle_required => {}
            _ => return Err(reject("user handle", "is not that of the passkey's owner")),
        }
        check_client_data(expected, "webauthn.get", &response.client_data.0)?;
        let data = AuthenticatorData::parse(&response.authenticator_data.0)?;
        check_data(expected, &data)?;
        if data.is_backup_eligible() != passkey.backup_eligible {
            return Err(reject("passkey", "changed whether it may be backed up"));
        }
        let signed = [&response.authenticator_data.0[..], &Sha256::digest(&response.client_data.0)[..]].concat();
        let (key, _) = PublicKey::parse(&passkey.key_cose)?;
        if !key.0.verifies(EcdsaForm::Der, &signed, &response.signature.0) {
            return Err(reject("signature", "is not that of the passkey"));
        }
        check_counter(passkey.sign_count, data.sign_count)?;
        Ok(SignedIn {
            sign_count: data.sign_count,
            user_verified: data.is_user_verified(),
            backed_up: data.is_backed_up(),
        })
    }
}

/// Section 7.2 step 22. Zero on both sides: an authenticator without a counter.
fn check_counter(stored: u32, sent: u32) -> Result<(), WebauthnError> {
    if (stored, sent) == (0, 0) || sent > stored { Ok(()) } else { Err(WebauthnError::CounterFell { stored, sent }) }
}
