//! One-time codes by time (RFC 6238): SHA-1, six digits, steps of 30 seconds, one step of tolerance on
//! either side: what every authenticator app speaks.
//!
//! SHA-1 is no weakness here: HMAC does not lean on collision resistance (RFC 6238 section 1.2), and other
//! hashes are ignored by some apps.

use crate::Rejected;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Length of a step (RFC 6238 section 5.2 recommends 30 seconds).
pub const STEP_US: i64 = 30_000_000;
/// Random bytes of a secret: 160 bits (RFC 4226 section 4, R6).
pub const SECRET_BYTES: usize = 20;

const DIGITS: u32 = 6;
/// Steps of tolerance on either side (RFC 6238 section 5.2 recommends one at most for delay).
const WINDOW: i64 = 1;

/// A shared secret. It is zeroed when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// A secret of bytes that the caller drew.
    #[must_use]
    pub fn new(random: [u8; SECRET_BYTES]) -> Self {
        Self(random)
    }

    /// Writes it in base 32 without padding (RFC 4648 section 6), as apps want it typed.
    #[must_use]
    pub fn to_base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// Reads base 32; spaces and lower case are tolerated.
    ///
    /// # Errors
    /// When it is not 32 characters of base 32.
    pub fn from_base32(text: &str) -> Result<Self, Rejected> {
        let wrong = || Rejected::silent("secret", "is not 32 characters of A-Z and 2-7");
        let text: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
        let mut bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| wrong())?;
        let secret = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).map(Self).map_err(|_| wrong());
        bytes.zeroize();
        secret
    }

    /// The address that an authenticator app reads from the QR code (Key Uri Format of Google Authenticator).
    /// `issuer` names the installation, `account` the person; a colon in them becomes a space, because it
    /// separates the two.
    #[must_use]
    pub fn provisioning_uri(&self, issuer: &str, account: &str) -> String {
        let escape = |text: &str| crate::query::escape(&text.replace(':', " "));
        let (issuer, account) = (escape(issuer), escape(account));
        let secret = self.to_base32();
        let step_s = STEP_US / 1_000_000;
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={step_s}"
        )
    }

    /// The code of a step, with leading zeros.
    #[must_use]
    pub fn code(&self, step: i64) -> String {
        let code = truncated(&self.0, step) % 10_u32.pow(DIGITS);
        format!("{code:06}")
    }
}

/// The step that `now_us` lies in.
#[must_use]
pub fn step_at(now_us: i64) -> i64 {
    now_us.div_euclid(STEP_US)
}

/// HOTP's dynamic truncation, before the digits are cut (RFC 4226 section 5.3).
fn truncated(secret: &[u8], step: i64) -> u32 {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[19] & 0x0f);
    u32::from_be_bytes([hash[offset], hash[offset + 1], hash[offset + 2], hash[offset + 3]]) & 0x7fff_ffff
}

/// Why a code was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// It is not six digits.
    #[error("the code must have six digits")]
    Malformed,
    /// It belongs to no step of the window.
    #[error("the code is wrong or too old; wait for the next one, and check the clock of your device")]
    Wrong,
    /// It is right, but its step or a later one was used (RFC 6238 section 5.2: once only).
    #[error("this code was used already; wait for the next one")]
    Used,
}

/// Checks a typed code and gives the step it belongs to. The caller stores the step and hands it in as
/// `last_used_step` the next time, in one transaction: so each step is good once.
///
/// All steps of the window are computed whatever the code is, so that time tells nothing.
///
/// # Errors
/// [`TotpError`].
pub fn verify(secret: &Secret, typed: &str, now_us: i64, last_used_step: Option<i64>) -> Result<i64, TotpError> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(DIGITS as usize + 1).collect();
    if typed.len() != DIGITS as usize || !typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TotpError::Malformed);
    }
    let now = step_at(now_us);
    let fits = |step: &i64| bool::from(secret.code(*step).as_bytes().ct_eq(typed.as_bytes()));
    let fitting: Vec<i64> = (now - WINDOW..=now + WINDOW).filter(fits).collect();
    let fresh = fitting.iter().copied().find(|step| last_used_step.is_none_or(|last| *step > last));
    match (fresh, fitting.is_empty()) {
        (Some(step), _) => Ok(step),
        (None, true) => Err(TotpError::Wrong),
        (None, false) => Err(TotpError::Used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226 appendix D: counter, truncated value in decimal.
    #[test]
    fn truncation_of_rfc_4226() {
        let check = |step, want| assert_eq!(truncated(b"12345678901234567890", step), want, "step {step}");
        check(0, 1_284_755_224);
        check(1, 1_094_287_082);
        check(2, 137_359_152);
        check(3, 1_726_969_429);
        check(4, 1_640_338_314);
        check(5, 868_254_676);
        check(6, 1_918_287_922);
        check(7, 82_162_583);
        check(8, 673_399_871);
        check(9, 645_520_489);
    }
}
