//! The connections of one port: how many there may be, in all and from one address, and which goes when there are too
//! many.
//!
//! Nobody is refused as long as somebody who is not being served can be sent away: first who has never sent a whole
//! request, then who has been waiting longest with nothing to do. A request that runs is never cut.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Where a connection stands.
const NEVER_SERVED: u8 = 0;
const IDLE: u8 = 1;
const BUSY: u8 = 2;

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub connections_max: usize,
    /// From one address (of IPv6, from one network of 64 bits).
    pub per_address_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 4_096, per_address_max: 512 }
    }
}

struct Held {
    address: IpAddr,
    state: Arc<AtomicU8>,
    end: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// By order of arrival.
    held: BTreeMap<u64, Held>,
    /// How many of each address.
    counts: BTreeMap<IpAddr, usize>,
}

/// The connections of one port.
pub struct Connections {
    limits: Limits,
    /// Addresses behind which many people sit: a proxy in front of us.
    exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    table: Mutex<Table>,
}

/// One connection; it is forgotten with this value.
pub struct Connection {
    all: Arc<Connections>,
    no: u64,
    address: IpAddr,
    state: Arc<AtomicU8>,
    end: Arc<Notify>,
}

/// A request that runs on a connection.
pub struct Busy(Arc<AtomicU8>);

/// One customer of a provider has a whole network of IPv6 addresses.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    }
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: Limits, exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { limits, exempt: Box::new(exempt), table: Mutex::default() })
    }

    /// Takes a connection in. Where there are too many, another one is sent away for it; `None` when all of them are
    /// at work.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let whose = whose(address);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = table.counts.get(&whose).copied().unwrap_or(0);
        if of_address >= self.limits.per_address_max && !(self.exempt)(address) {
            table.send_away(|held| held.address == whose)?;
        } else if table.held.len() >= self.limits.connections_max {
            // Whoever has the most makes room: a single one is never the victim of a crowd.
            let most = table.counts.iter().max_by_key(|(_, count)| **count).map(|(address, _)| *address);
            let of_most = table.send_away(|held| Some(held.address) == most);
            if of_most.is_none() {
                table.send_away(|_| true)?;
            }
        }
        table.next += 1;
        let (no, state, end) = (table.next, Arc::new(AtomicU8::new(NEVER_SERVED)), Arc::new(Notify::new()));
        *table.counts.entry(whose).or_default() += 1;
        table.held.insert(no, Held { address: whose, state: state.clone(), end: end.clone() });
        Some(Connection { all: self.clone(), no, address: whose, state, end })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).held.len()
    }
}

impl Table {
    /// Ends the one that is missed least among those that fit; `None` when all of them are at work.
    fn send_away(&mut self, fits: impl Fn(&Held) -> bool) -> Option<()> {
        let stands = |held: &Held| held.state.load(Ordering::Relaxed);
        let idle = self.held.iter().filter(|(_, held)| fits(held) && stands(held) != BUSY);
        let (no, _) = idle.min_by_key(|(no, held)| (stands(held), **no))?;
        let no = *no;
        self.remove(no);
        Some(())
    }

    fn remove(&mut self, no: u64) {
        let Some(held) = self.held.remove(&no) else { return };
        held.end.notify_one();
        if let Some(count) = self.counts.get_mut(&held.address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&held.address);
            }
        }
    }
}

impl Connection {
    /// Marks it as at work until the value is dropped.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.state.store(BUSY, Ordering::Relaxed);
        Busy(self.state.clone())
    }

    /// Resolves when it is sent away for another one.
    pub async fn sent_away(&self) {
        self.end.notified().await;
    }

    /// Whose it is: the address, or the network of an IPv6 address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.table.lock().unwrap_or_else(PoisonError::into_inner).remove(self.no);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn all(connections_max: usize, per_address_max: usize) -> Arc<Connections> {
        Connections::new(Limits { connections_max, per_address_max }, |_| false)
    }

    async fn is_sent_away(connection: &Connection) -> bool {
        tokio::select! {
            biased;
            () = connection.sent_away() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn who_never_sent_a_request_goes_first() {
        let all = all(3, 10);
        let served = all.admit(ip(1)).unwrap();
        drop(served.busy());
        let (silent, newer) = (all.admit(ip(1)).unwrap(), all.admit(ip(1)).unwrap());
        let next = all.admit(ip(2)).unwrap();
        assert!(is_sent_away(&silent).await && !is_sent_away(&served).await && !is_sent_away(&newer).await);
        assert_eq!(all.count(), 3);
        drop((served, silent, newer, next));
        assert_eq!(all.count(), 0);
    }

    #[tokio::test]
    async fn one_address_has_its_share_and_takes_nobody_elses() {
        let all = all(100, 5);
        let other = all.admit(ip(9)).unwrap();
        let crowd: Vec<Connection> = (0..50).filter_map(|_| all.admit(ip(1))).collect();
        assert_eq!(all.count(), 6);
        assert!(!is_sent_away(&other).await);
        drop(crowd);
    }

    #[tokio::test]
    async fn whoever_has_the_most_makes_room() {
        let all = all(10, 10);
        let single = all.admit(ip(9)).unwrap();
        let crowd: Vec<Connection> = (0..9).filter_map(|_| all.admit(ip(1))).collect();
        let late: Vec<Connection> = (0..8).filter_map(|no| all.admit(ip(100 + no))).collect();
        assert_eq!(late.len(), 8);
        assert!(!is_sent_away(&single).await, "the oldest of all, but alone");
        drop(crowd);
    }

    #[tokio::test]
    async fn a_request_that_runs_is_never_cut() {
        let all = all(2, 2);
        let (one, two) = (all.admit(ip(1)).unwrap(), all.admit(ip(1)).unwrap());
        let _running = (one.busy(), two.busy());
        assert!(all.admit(ip(2)).is_none() && all.admit(ip(1)).is_none());
        assert!(!is_sent_away(&one).await && !is_sent_away(&two).await);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let all = all(10, 2);
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        let _held = [all.admit(of("2001:db8::1")), all.admit(of("2001:db8::2")), all.admit(of("2001:db8::3"))];
        assert_eq!(all.count(), 2);
        let _mapped = [all.admit(of("::ffff:127.0.0.1")), all.admit(ip(1)), all.admit(ip(1))];
        assert_eq!(all.count(), 4);
    }
}
