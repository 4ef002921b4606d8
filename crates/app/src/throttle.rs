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

fn wrong() -> Failure {
    Failure::new(Kind::Unauthenticated, "address or password is wrong")
}

impl WrongPasswords {
    pub(crate) fn check(&self, tries: &Tries, now_us: i64) -> Result<(), Failure> {
        let mut failures = self.0.lock().map_err(|_| wrong())?;
        failures.retain(|_, (since, _)| *since + FAILURES_US > now_us);
        let spent = |(key, max): &(String, u32)| failures.get(key).is_some_and(|(_, count)| count >= max);
        if tries.0.iter().any(spent) {
            return Err(Failure::new(Kind::TooMany, "too many wrong passwords or codes; wait a quarter of an hour"));
        }
        Ok(())
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
