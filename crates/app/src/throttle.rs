//! Wrong passwords and codes: how many by whom, and when the next may be tried.

use crate::failure::{Failure, Kind};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use store::users::{self, User};

/// Ten wrong passwords for one address in a quarter of an hour, then it waits.
const FAILURES_MAX: u32 = 10;
/// The same for one client, behind which many people may sit.
const FAILURES_OF_IP_MAX: u32 = 50;
const FAILURES_US: i64 = 15 * 60_000_000;
/// Addresses that are remembered at once.
const ADDRESSES_MAX: usize = 10_000;

/// Wrong passwords and codes by address: since when, how many.
#[derive(Default)]
pub(crate) struct WrongPasswords(Mutex<BTreeMap<String, (i64, u32)>>);

/// The client of a request, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// What it says it is.
    pub agent: String,
}

/// Says how long to wait, and how to get in sooner.
fn wait(wait_us: i64) -> Failure {
    let wait_s = (wait_us.max(1) + 999_999) / 1_000_000;
    let minutes = match (wait_s + 59) / 60 {
        1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    };
    let text = format!(
        "Too many wrong passwords or codes were tried. Try again in {minutes}, or ask an admin of your organisation \
         for a link to set a new one."
    );
    Failure::new(Kind::TooMany, text).waiting(u32::try_from(wait_s).unwrap_or(u32::MAX))
}

fn wrong() -> Failure {
    Failure::new(Kind::Unauthenticated, "address or password is wrong")
}

impl WrongPasswords {
    pub(crate) fn check(&self, tries: &Tries, now_us: i64) -> Result<(), Failure> {
        let mut failures = self.0.lock().map_err(|_| wrong())?;
        failures.retain(|_, (since, _)| *since + FAILURES_US > now_us);
        let spent = tries.0.iter().filter_map(|(key, max)| failures.get(key).filter(|(_, count)| count >= max));
        match spent.map(|(since, _)| *since).max() {
            Some(since_us) => Err(wait(since_us + FAILURES_US - now_us)),
            None => Ok(()),
        }
    }

    pub(crate) fn note(&self, tries: &Tries, now_us: i64) {
        let Ok(mut failures) = self.0.lock() else { return };
        for (key, _) in &tries.0 {
            if failures.len() < ADDRESSES_MAX || failures.contains_key(key) {
                failures.entry(key.clone()).or_insert((now_us, 0)).1 += 1;
            }
        }
    }

    /// Counts a try as wrong before it is looked at, so that a thousand at once get no further than ten in a
    /// row.
    pub(crate) fn take(&self, tries: &Tries, now_us: i64) -> Result<(), Failure> {
        self.check(tries, now_us)?;
        self.note(tries, now_us);
        self.check(&Tries(tries.0.iter().map(|(key, max)| (key.clone(), max + 1)).collect()), now_us)
    }

    /// The try was right: it does not count.
    pub(crate) fn give_back(&self, tries: &Tries) {
        let Ok(mut failures) = self.0.lock() else { return };
        for (key, _) in &tries.0 {
            if let Some((_, count)) = failures.get_mut(key) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

/// What a try is counted for: an account and a client, each with its limit.
pub(crate) struct Tries(Vec<(String, u32)>);

impl Tries {
    pub(crate) fn of(account: &str, client: &Client) -> Self {
        let from = client.ip.filter(|ip| !ip.is_loopback()).map(|ip| (format!("ip {ip}"), FAILURES_OF_IP_MAX));
        Self(std::iter::once((account.to_owned(), FAILURES_MAX)).chain(from).collect())
    }

    pub(crate) fn of_user(user: &User, client: &Client) -> Self {
        let key = if user.email.is_empty() { user.id.to_string() } else { users::email_key(&user.email) };
        Self::of(&key, client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_what_is_left_of_it() {
        let (wrong, tries) = (WrongPasswords::default(), Tries::of("ann@example.com", &Client::default()));
        (0..FAILURES_MAX).for_each(|_| wrong.note(&tries, 0));
        for (now_us, wait_s, words) in
            [(0, 900, "in 15 minutes"), (180_000_000, 720, "in 12 minutes"), (899_000_000, 1, "in a minute")]
        {
            let failure = wrong.check(&tries, now_us).unwrap_err();
            assert_eq!(failure.wait_s, Some(wait_s));
            assert!(failure.text.contains(words), "{}", failure.text);
        }
        assert!(wrong.check(&tries, FAILURES_US).is_ok());
    }
}
