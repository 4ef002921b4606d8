//! Wrong passwords and codes: who waits before the next try, and how long.
//!
//! A try is counted before it is looked at, as if it had failed, and forgiven when it was right: a thousand at once
//! get no further than a few in a row. Nobody is ever locked; the longest wait is a quarter of an hour.
//!
//! - From an address that is **known** to be the account's (a sign-in within the last ninety days), only tries of this
//!   account from this address count. What strangers do elsewhere delays nobody there.
//! - From any **other** address three things count: the account at this address (a delay that doubles), all such
//!   addresses of the account together, and all accounts at this address together.
//! - A **code** is asked for after the password only, so whoever wastes tries knows that: they are counted over all
//!   addresses, apart from passwords, so that a right password forgives no wrong code.
//! - Whoever is **signed in** and proves themselves once more counts by the session alone.
//! - A **passkey** cannot be guessed: only the address counts, for the work.
//!
//! It is the memory of this process. A restart forgets, which gives an attacker the free tries once more.

mod table;

use crate::failure::{Failure, Kind};
use base::SessionId;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::users::{self, User};
use table::{Key, Rule, Slot, Table};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 1_440 * MINUTE_US;

/// An address that is known may be an office with strangers in it: its people wait a minute at most.
const KNOWN: Rule = Rule::Growing { free: 5, cap_us: MINUTE_US, keep_us: DAY_US };
const STRANGE: Rule = Rule::Growing { free: 3, cap_us: 15 * MINUTE_US, keep_us: DAY_US };
/// All unknown addresses of one account: 288 tries a day at most, however many they are.
const ACCOUNT: Rule = Rule::Steady { burst: 10, every_us: 5 * MINUTE_US };
/// All accounts of one address: fifty in a quarter of an hour.
const SOURCE: Rule = Rule::Steady { burst: 50, every_us: 18 * SECOND_US };
const CODE: Rule = Rule::Growing { free: 5, cap_us: 15 * MINUTE_US, keep_us: DAY_US };
const SESSION: Rule = Rule::Growing { free: 5, cap_us: 15 * MINUTE_US, keep_us: DAY_US };

/// The client of a request, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address: of the socket, or as a trusted proxy says it.
    pub ip: Option<IpAddr>,
    /// What it says it is.
    pub agent: String,
}

impl Client {
    /// Where it is, for counting.
    pub(crate) fn source(&self) -> Source {
        Source::of(self.ip)
    }
}

/// An address as tries are counted for it: a v6 client chooses the lower half by itself, so its network stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source(Option<IpAddr>);

impl Source {
    fn of(ip: Option<IpAddr>) -> Self {
        Self(ip.map(|ip| match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
            v4 => v4,
        }))
    }
}

/// `203.0.113.9`, `2001:db8:1:2::/64`, `unknown`.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Some(IpAddr::V6(v6)) => write!(f, "{v6}/64"),
            None => f.write_str("unknown"),
        }
    }
}

/// A digest of an address or an id: of one size whatever was typed, and nobody's address lies in memory.
type Account = [u8; 16];

fn account_of(text: &str) -> Account {
    let mut account = [0; 16];
    account.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    account
}

/// A try, and what it is counted for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Try {
    /// A password from an address that is known to be the account's.
    Known(Account, Source),
    /// A password from any other address, for an account that need not exist.
    Strange(Account, Source),
    /// A code after the password.
    Code(Account, Source),
    /// A proof of somebody who is signed in.
    Session(SessionId),
    /// A passkey.
    Passkey(Source),
}

impl Try {
    /// A password for an address that was typed. `is_known` is what the store says of the account and the client.
    pub(crate) fn password(email: &str, client: &Client, is_known: bool) -> Self {
        let (account, source) = (account_of(&users::email_key(email)), client.source());
        if is_known { Self::Known(account, source) } else { Self::Strange(account, source) }
    }

    /// A code of somebody whose password was right.
    pub(crate) fn code(user: &User, client: &Client) -> Self {
        Self::Code(account_of(&user.id.to_string()), client.source())
    }

    fn charges(self) -> Vec<(Of, Key)> {
        match self {
            Self::Known(account, source) => vec![(Of::Known, Key::Pair(account, source))],
            Self::Strange(account, source) => vec![
                (Of::Strange, Key::Pair(account, source)),
                (Of::Account, Key::Account(account)),
                (Of::Source, Key::Source(source)),
            ],
            Self::Code(account, source) => {
                vec![(Of::Code, Key::Pair(account, source)), (Of::CodeAccount, Key::Account(account))]
            }
            Self::Session(session) => vec![(Of::Session, Key::Session(session.0))],
            Self::Passkey(source) => vec![(Of::Source, Key::Source(source))],
        }
    }
}

/// Which table.
#[derive(Debug, Clone, Copy)]
enum Of {
    Known,
    Strange,
    Account,
    Source,
    Code,
    CodeAccount,
    Session,
}

/// A hundred thousand entries in all, about twenty megabytes. Strangers can fill their own tables only.
struct Tables {
    known: Table,
    strange: Table,
    account: Table,
    source: Table,
    code: Table,
    code_account: Table,
    session: Table,
}

impl Tables {
    fn of(&mut self, of: Of) -> &mut Table {
        match of {
            Of::Known => &mut self.known,
            Of::Strange => &mut self.strange,
            Of::Account => &mut self.account,
            Of::Source => &mut self.source,
            Of::Code => &mut self.code,
            Of::CodeAccount => &mut self.code_account,
            Of::Session => &mut self.session,
        }
    }
}

/// How long somebody has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Whole seconds, at least one.
    pub(crate) seconds: u32,
    /// Whether this delay is met for the first time since the try that caused it.
    pub(crate) is_news: bool,
}

impl From<Wait> for Failure {
    fn from(wait: Wait) -> Self {
        let seconds = wait.seconds;
        let time = match seconds {
            1 => "a second".to_owned(),
            2..=120 => format!("{seconds} seconds"),
            _ => format!("{} minutes", seconds.div_ceil(60)),
        };
        let text = format!(
            "Too many wrong passwords or codes were tried. Try again in {time}, or ask an admin of your organisation for \
             a link to set a new one."
        );
        Self::new(Kind::TooMany, text).waiting(seconds)
    }
}

/// Counts tries.
pub(crate) struct Throttle(Mutex<Tables>);

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(Tables {
            known: Table::new(KNOWN, 15_000),
            strange: Table::new(STRANGE, 40_000),
            account: Table::new(ACCOUNT, 15_000),
            source: Table::new(SOURCE, 20_000),
            code: Table::new(CODE, 4_000),
            code_account: Table::new(ACCOUNT, 4_000),
            session: Table::new(SESSION, 2_000),
        }))
    }
}

impl Throttle {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic elsewhere takes no delay away.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a try through and counts it as failed, or says how long it has to wait. What has to wait is not counted:
    /// who hammers waits no longer than who does not.
    pub(crate) fn admit(&self, tried: Try, now_us: i64) -> Result<Pass<'_>, Wait> {
        let mut tables = self.tables();
        let charged: Vec<(Of, Slot)> =
            tried.charges().into_iter().map(|(of, key)| (of, tables.of(of).slot(key, now_us))).collect();
        let longest = charged.iter().map(|(of, slot)| (tables.of(*of).wait_us(*slot, now_us), *of, *slot));
        let (wait_us, of, slot) = longest.max_by_key(|(wait_us, ..)| *wait_us).expect("every try is counted somewhere");
        if wait_us > 0 {
            let seconds = u32::try_from((wait_us + SECOND_US - 1) / SECOND_US).unwrap_or(u32::MAX);
            return Err(Wait { seconds, is_news: tables.of(of).is_news(slot) });
        }
        for (of, slot) in &charged {
            tables.of(*of).count(*slot, now_us);
        }
        drop(tables);
        Ok(Pass { throttle: self, charged })
    }
}

/// A try that was let through. Dropped, it stays counted: also when the client goes away in the middle.
#[must_use]
pub(crate) struct Pass<'a> {
    throttle: &'a Throttle,
    charged: Vec<(Of, Slot)>,
}

impl Pass<'_> {
    /// The password, the code or the passkey was right.
    pub(crate) fn right(self) {
        let mut tables = self.throttle.tables();
        for (of, slot) in &self.charged {
            tables.of(*of).forgive(*slot);
        }
    }

    /// Nothing was looked at: the queue was full, or the database down.
    pub(crate) fn unused(self) {
        let mut tables = self.throttle.tables();
        for (of, slot) in &self.charged {
            tables.of(*of).give_back(*slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "ann@example.com";

    fn from(text: &str) -> Client {
        Client { ip: Some(text.parse().unwrap()), agent: String::new() }
    }

    fn strange(account: &str, ip: &str) -> Try {
        Try::password(account, &from(ip), false)
    }

    /// Fails as often as it may at this moment.
    fn exhaust(throttle: &Throttle, tried: Try, now_us: i64) -> usize {
        std::iter::from_fn(|| throttle.admit(tried, now_us).ok().map(drop)).take(1_000).count()
    }

    #[test]
    fn strangers_delay_nobody_at_a_known_address() {
        let throttle = Throttle::default();
        for no in 0..200 {
            exhaust(&throttle, strange(ANN, &format!("203.0.113.{no}")), 0);
        }
        let (home, away) = (Try::password(ANN, &from("192.0.2.1"), true), strange(ANN, "192.0.2.1"));
        throttle.admit(home, 0).unwrap().right();
        let wait = throttle.admit(away, 0).map(drop).unwrap_err();
        assert!(wait.seconds <= 301, "an unknown address waits five minutes at most: {wait:?}");
        assert!(throttle.admit(Try::Session(SessionId(1)), 0).is_ok(), "who is signed in is not delayed");
        assert!(throttle.admit(Try::Passkey(from("192.0.2.1").source()), 0).is_ok(), "nor is a passkey");
        assert!(throttle.admit(strange("bob@example.com", "192.0.2.1"), 0).is_ok(), "nor is anybody else");
    }

    #[test]
    fn one_account_takes_ten_tries_from_however_many_addresses() {
        let throttle = Throttle::default();
        let tries = (0..100).map(|no| exhaust(&throttle, strange(ANN, &format!("198.51.100.{no}")), 0));
        assert_eq!(tries.sum::<usize>(), 10);
        let day = (0..288).map(|no| {
            let now_us = (no + 1) * 5 * MINUTE_US;
            exhaust(&throttle, strange(ANN, &format!("203.0.{}.{}", no / 200, no % 200)), now_us)
        });
        assert_eq!(day.sum::<usize>(), 288, "and one each five minutes");
    }

    #[test]
    fn one_address_takes_fifty_tries_of_however_many_accounts() {
        for ip in ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8:1:2::9"] {
            let throttle = Throttle::default();
            let tries = (0..100).map(|no| exhaust(&throttle, strange(&format!("a{no}@example.com"), ip), 0));
            assert_eq!(tries.sum::<usize>(), 50, "{ip}");
        }
        let throttle = Throttle::default();
        let tries = (0..100)
            .map(|no| exhaust(&throttle, strange(&format!("a{no}@example.com"), &format!("2001:db8:1:2::{no:x}")), 0));
        assert_eq!(tries.sum::<usize>(), 50, "a v6 network is one address");
    }

    #[test]
    fn many_at_once_get_no_further_than_few_in_a_row() {
        let throttle = Throttle::default();
        let passes: Vec<_> = (0..120).filter_map(|_| throttle.admit(strange(ANN, "203.0.113.9"), 0).ok()).collect();
        assert_eq!(passes.len(), 3);
        for pass in passes {
            pass.unused();
        }
        assert_eq!(exhaust(&throttle, strange(ANN, "203.0.113.9"), 0), 3, "what was not made does not count");
    }

    #[test]
    fn a_right_password_forgives_no_code() {
        let (throttle, client) = (Throttle::default(), from("192.0.2.1"));
        let user = User::person(base::UserId(7), base::OrgId(1), ANN, "Ann", String::new(), 0);
        for _ in 0..5 {
            throttle.admit(Try::password(ANN, &client, true), 0).unwrap().right();
            drop(throttle.admit(Try::code(&user, &client), 0).unwrap());
        }
        throttle.admit(Try::password(ANN, &client, true), 0).unwrap().right();
        assert!(throttle.admit(Try::code(&user, &client), 0).is_err());
        assert!(throttle.admit(Try::Session(SessionId(1)), 0).is_ok());
    }

    #[test]
    fn hammering_makes_nobody_wait_longer() {
        let throttle = Throttle::default();
        exhaust(&throttle, strange(ANN, "203.0.113.9"), 0);
        for _ in 0..1_000 {
            assert!(throttle.admit(strange(ANN, "203.0.113.9"), 500_000).is_err());
        }
        assert!(throttle.admit(strange(ANN, "203.0.113.9"), SECOND_US).is_ok());
    }

    #[test]
    fn the_wait_is_said_in_whole_seconds() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            drop(throttle.admit(strange(ANN, "203.0.113.9"), 0).unwrap());
        }
        let first = throttle.admit(strange(ANN, "203.0.113.9"), 1).map(drop).unwrap_err();
        assert_eq!(first, Wait { seconds: 1, is_news: true });
        let again = throttle.admit(strange(ANN, "203.0.113.9"), 2).map(drop).unwrap_err();
        assert_eq!(again, Wait { seconds: 1, is_news: false });
        let failure = Failure::from(again);
        assert_eq!(failure.wait_s, Some(1));
        assert!(failure.text.contains("Try again in a second, or"), "{}", failure.text);
    }

    #[test]
    fn a_full_memory_lets_nobody_through_for_free() {
        let throttle = Throttle::default();
        // Each address exhausts three tries of an account of its own: all entries delay somebody.
        for no in 0..45_000_u32 {
            let ip = std::net::Ipv4Addr::from(0x0b00_0000 + no).to_string();
            exhaust(&throttle, strange(&format!("a{no}@example.com"), &ip), 0);
        }
        assert!(throttle.admit(strange("fresh@example.com", "203.0.113.9"), 0).is_err(), "who finds no room waits");
        assert!(throttle.admit(strange("a7@example.com", "11.0.0.7"), 0).is_err(), "who is known to fail waits");
        throttle.admit(Try::password(ANN, &from("192.0.2.1"), true), 0).unwrap().right();
    }
}
