//! Passwords: argon2id, two at a time, the same work for unknown users.

use crate::failure::{Failure, Kind};
use argon2::{Algorithm, Argon2, Params, Version};
use base::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Memory in KiB, passes: OWASP's figures for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// More than this many people waiting for a hash is an attack, not a morning.
const WAITING_MAX: usize = 20;

pub(crate) struct Passwords {
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { hashing: Arc::new(Semaphore::new(2)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

fn digest(password: &str, salt: &[u8]) -> [u8; 32] {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).expect("the figures are within argon2's limits");
    let mut out = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .expect("salt and output have good lengths");
    out
}

impl Passwords {
    /// A hash in PHC form.
    pub(crate) async fn hash(&self, world: &dyn World, password: &str) -> Result<String, Failure> {
        let mut salt = [0_u8; 16];
        world.fill_random(&mut salt);
        let password = password.to_owned();
        let hash = self.limited(move || digest(&password, &salt)).await?;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}"))
    }

    /// Whether the password fits. An empty hash (unknown user) costs the same and never fits.
    pub(crate) async fn verify(&self, password: &str, hash: &str) -> Result<bool, Failure> {
        let parts: Vec<&str> = hash.split('$').collect();
        let decode = |index: usize| parts.get(index).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let (salt, want) = match (decode(4), decode(5)) {
            (Some(salt), Some(want)) if want.len() == 32 && salt.len() >= 8 => (salt, want),
            _ => (vec![0; 16], Vec::new()),
        };
        let password = password.to_owned();
        let got = self.limited(move || digest(&password, &salt)).await?;
        Ok(bool::from(got.ct_eq(&want)))
    }

    /// Hashes of a set of codes under one salt, so that one piece of work later says which of them was typed.
    /// The codes are long and random: nobody gains by attacking ten at once.
    pub(crate) async fn hash_set(&self, world: &dyn World, codes: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut salt = [0_u8; 16];
        world.fill_random(&mut salt);
        let mut hashes = Vec::new();
        for code in codes {
            let hash = self.limited(move || digest(&code, &salt)).await?;
            let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
            hashes.push(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}"));
        }
        Ok(hashes)
    }

    /// Which of a set's hashes a code belongs to. Without hashes it costs the same.
    pub(crate) async fn find(&self, code: &str, hashes: &[String]) -> Result<Option<String>, Failure> {
        let part = |hash: &str, index: usize| STANDARD_NO_PAD.decode(hash.split('$').nth(index)?).ok();
        let salt = hashes.first().and_then(|hash| part(hash, 4)).unwrap_or_else(|| vec![0; 16]);
        let code = code.to_owned();
        let got = self.limited(move || digest(&code, &salt)).await?;
        let fits = |hash: &&String| part(hash, 5).is_some_and(|want| bool::from(got.ct_eq(&want)));
        Ok(hashes.iter().find(fits).cloned())
    }

    async fn limited(&self, work: impl FnOnce() -> [u8; 32] + Send + 'static) -> Result<[u8; 32], Failure> {
        let busy = || Failure::new(Kind::TooMany, "too many sign-ins at once; try again in a moment");
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let _turn = self.hashing.clone().acquire_owned().await.map_err(|_| busy())?;
        Ok(tokio::task::spawn_blocking(work).await?)
    }
}

/// Checks a new password: 12 to 200 characters, not one of the usual ones.
pub(crate) fn check_new(password: &str) -> Result<(), Failure> {
    let length = password.chars().count();
    if !(12..=200).contains(&length) {
        return Err(Failure::unreadable("password", "must have 12 to 200 characters"));
    }
    let plain = password.to_lowercase();
    let usual = ["password", "passwort", "qwertz", "qwerty", "123456", "letmein", "meterhouse"];
    let left = usual.iter().fold(plain, |text, word| text.replace(word, ""));
    if left.chars().collect::<std::collections::BTreeSet<_>>().len() < 5 {
        return Err(Failure::unreadable("password", "is too easy to guess"));
    }
    Ok(())
}
