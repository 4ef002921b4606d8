//! Passwords: argon2id, two at a time, the same work for unknown users.
//!
//! The work is dear, so it is handed out fairly. Whoever is known (by their session, or by an address that is the
//! account's) never waits behind more than one hash of a stranger: strangers have one of the two turns, few places to
//! wait, and fewer still for each address.

use crate::failure::{Failure, Kind};
use crate::throttle::Source;
use argon2::{Algorithm, Argon2, Params, Version};
use base::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use zxcvbn::{Score, zxcvbn};

/// Memory in KiB, passes: OWASP's figures for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Hashes at once.
const TURNS: usize = 2;
/// Hashes of strangers at once.
const STRANGE_TURNS: usize = 1;
/// More than this many people waiting for a hash is an attack, not a morning.
const KNOWN_WAITING_MAX: usize = 20;
const STRANGE_WAITING_MAX: usize = 12;
/// The same for one address of strangers.
const SOURCE_WAITING_MAX: usize = 3;
/// What somebody waits who found no place: a full queue is done by then.
const BUSY_S: u32 = 3;
/// A password is compared with that many words about its owner.
const ABOUT_MAX: usize = 20;

/// Whose hash it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody who is signed in, holds a link or sits at an address that is known to be theirs.
    Known,
    /// Anybody, at an address.
    Strange(Source),
}

pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    strange_turns: Arc<Semaphore>,
    places: Arc<Places>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(TURNS)),
            strange_turns: Arc::new(Semaphore::new(STRANGE_TURNS)),
            places: Arc::default(),
        }
    }
}

/// Who waits or is being served.
#[derive(Default)]
struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    known: usize,
    strange: BTreeMap<Source, usize>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, lane: Lane) -> Option<Place> {
        let mut taken = self.taken();
        match lane {
            Lane::Known if taken.known >= KNOWN_WAITING_MAX => return None,
            Lane::Known => taken.known += 1,
            Lane::Strange(source) => {
                let all: usize = taken.strange.values().sum();
                let own = taken.strange.entry(source).or_default();
                if all >= STRANGE_WAITING_MAX || *own >= SOURCE_WAITING_MAX {
                    return None; // An entry of nothing is harmless: the next place given back removes it.
                }
                *own += 1;
            }
        }
        Some(Place { places: self.clone(), lane })
    }
}

/// A place in the queue.
struct Place {
    places: Arc<Places>,
    lane: Lane,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match self.lane {
            Lane::Known => taken.known -= 1,
            Lane::Strange(source) => {
                if let Some(own) = taken.strange.get_mut(&source) {
                    *own -= 1;
                }
                taken.strange.retain(|_, own| *own > 0);
            }
        }
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
        let hash = self.limited(Lane::Known, move || digest(&password, &salt)).await?;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}"))
    }

    /// Whether the password fits. An empty hash (unknown user) costs the same and never fits.
    pub(crate) async fn verify(&self, lane: Lane, password: &str, hash: &str) -> Result<bool, Failure> {
        let parts: Vec<&str> = hash.split('$').collect();
        let decode = |index: usize| parts.get(index).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let (salt, want) = match (decode(4), decode(5)) {
            (Some(salt), Some(want)) if want.len() == 32 && salt.len() >= 8 => (salt, want),
            _ => (vec![0; 16], Vec::new()),
        };
        let password = password.to_owned();
        let got = self.limited(lane, move || digest(&password, &salt)).await?;
        Ok(bool::from(got.ct_eq(&want)))
    }

    /// Hashes of a set of codes under one salt, so that one piece of work later says which of them was typed.
    /// The codes are long and random: nobody gains by attacking ten at once.
    pub(crate) async fn hash_set(&self, world: &dyn World, codes: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut salt = [0_u8; 16];
        world.fill_random(&mut salt);
        let mut hashes = Vec::new();
        for code in codes {
            let hash = self.limited(Lane::Known, move || digest(&code, &salt)).await?;
            let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
            hashes.push(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}"));
        }
        Ok(hashes)
    }

    /// Which of a set's hashes a code belongs to. Without hashes it costs the same. A code is asked for after the
    /// password: whoever types one is no stranger.
    pub(crate) async fn find(&self, code: &str, hashes: &[String]) -> Result<Option<String>, Failure> {
        let part = |hash: &str, index: usize| STANDARD_NO_PAD.decode(hash.split('$').nth(index)?).ok();
        let salt = hashes.first().and_then(|hash| part(hash, 4)).unwrap_or_else(|| vec![0; 16]);
        let code = code.to_owned();
        let got = self.limited(Lane::Known, move || digest(&code, &salt)).await?;
        let fits = |hash: &&String| part(hash, 5).is_some_and(|want| bool::from(got.ct_eq(&want)));
        Ok(hashes.iter().find(fits).cloned())
    }

    /// Place and turns go along with the work: who asked may go away, the work is done all the same.
    async fn limited(&self, lane: Lane, work: impl FnOnce() -> [u8; 32] + Send + 'static) -> Result<[u8; 32], Failure> {
        let busy = || Failure::new(Kind::TooMany, "too many sign-ins at once; try again in a moment").waiting(BUSY_S);
        let place = self.places.take(lane).ok_or_else(busy)?;
        let strange_turn = match lane {
            Lane::Known => None,
            Lane::Strange(_) => Some(self.strange_turns.clone().acquire_owned().await.map_err(|_| busy())?),
        };
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let out = work();
            drop((turn, strange_turn, place));
            out
        });
        Ok(done.await?)
    }
}

/// Checks a new password: 12 to 200 characters, and not to be guessed within a hundred million tries by somebody who
/// knows what people choose, and what `about` says of this person: name, address, organisation. No rules of
/// composition.
pub(crate) fn check_new(password: &str, about: &[&str]) -> Result<(), Failure> {
    let length = password.chars().count();
    if !(12..=200).contains(&length) {
        return Err(Failure::unreadable("password", "must have 12 to 200 characters"));
    }
    // Each text, an address without its domain, and each word of them.
    let whole = about.iter().flat_map(|text| [*text, text.split('@').next().unwrap_or_default()]);
    let parts = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let words = ["meterhouse"].into_iter().chain(whole).chain(parts).filter(|word| word.chars().count() > 2);
    let words: Vec<&str> = words.take(ABOUT_MAX).collect();
    let found = zxcvbn(password, &words);
    if found.score() >= Score::Three {
        return Ok(());
    }
    let why = found.feedback().and_then(zxcvbn::feedback::Feedback::warning).map(|warning| warning.to_string());
    let why = why.map(|why| format!(": {}", why.trim_end_matches('.').to_lowercase())).unwrap_or_default();
    Err(Failure::unreadable("password", format!("is too easy to guess{why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::Client;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_people_choose_is_refused() {
        for easy in [
            "123456789012",
            "111111111111",
            "passwordpassword",
            "password1234",
            "Password2026!",
            "P@ssw0rd1234",
            "qwertyuiop12",
            "qwertzuiop12",
            "abcdefghijkl",
            "letmeinletmein",
            "iloveyou2026",
            "meterhouse2026",
            "ann.example1",
            "Acme Works 1",
        ] {
            let refused = check_new(easy, &["Ann Example", "ann.example@acme.example", "Acme Works"]).expect_err(easy);
            assert!(refused.text.starts_with("password: is too easy"), "{}", refused.text);
        }
        for good in ["correct horse battery", "Tr0ub4dor&3-and-more", "vier Äpfel im Sommer", "xkq7-vmdp-2hfz"] {
            assert!(check_new(good, &["Ann"]).is_ok(), "{good}");
        }
        assert!(check_new("short", &[]).is_err() && check_new(&"x9 ".repeat(70), &[]).is_err());
    }

    fn source(text: &str) -> Source {
        Client { ip: Some(text.parse().unwrap()), agent: String::new() }.source()
    }

    #[test]
    fn strangers_fill_their_own_places_only() {
        let places = Arc::new(Places::default());
        let take = |ip: &str| places.take(Lane::Strange(source(ip)));
        let one: Vec<_> = (0..10).filter_map(|_| take("203.0.113.1")).collect();
        assert_eq!(one.len(), 3, "one address");
        let all: Vec<_> = (0..40).filter_map(|no| take(&format!("198.51.100.{no}"))).collect();
        assert_eq!(one.len() + all.len(), 12, "all of them");
        let known: Vec<_> = (0..40).filter_map(|_| places.take(Lane::Known)).collect();
        assert_eq!(known.len(), 20);
        drop((one, all, known));
        assert!(take("203.0.113.1").is_some() && places.taken().strange.is_empty() && places.taken().known == 0);
    }

    #[tokio::test]
    async fn who_is_known_never_waits_for_the_queue_of_strangers() {
        let passwords = Arc::new(Passwords::default());
        let (let_go, going) = std::sync::mpsc::channel::<()>();
        let going = Arc::new(Mutex::new(going));
        let strangers: Vec<_> = (0..8)
            .map(|no| {
                let (passwords, going) = (passwords.clone(), going.clone());
                let work = move || {
                    let _ = going.lock().unwrap().recv();
                    [0; 32]
                };
                tokio::spawn(async move {
                    passwords.limited(Lane::Strange(source(&format!("203.0.113.{no}"))), work).await.is_ok()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        // Every turn of strangers is held; somebody who is known is served all the same.
        assert!(passwords.limited(Lane::Known, || [1; 32]).await.is_ok());
        drop(let_go);
        for stranger in strangers {
            assert!(stranger.await.unwrap());
        }
    }

    #[tokio::test]
    async fn who_goes_away_gives_no_turn_back_before_the_work_is_done() {
        let passwords = Passwords::default();
        let running = Arc::new(AtomicUsize::new(0));
        let (let_go, going) = std::sync::mpsc::channel::<()>();
        let going = Arc::new(Mutex::new(going));
        for _ in 0..3 {
            let (running, going) = (running.clone(), going.clone());
            let work = move || {
                running.fetch_add(1, Ordering::SeqCst);
                let _ = going.lock().unwrap().recv();
                [0; 32]
            };
            let mut asked = std::pin::pin!(passwords.limited(Lane::Known, work));
            // Asked for, and dropped at once.
            assert!(futures_poll(asked.as_mut()).await.is_none());
        }
        assert_eq!(passwords.turns.available_permits(), 0, "two work on, the third never began");
        drop(let_go);
    }

    /// Polls once.
    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(out) => Some(out),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
