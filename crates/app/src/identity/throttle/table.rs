//! Counted tries: a bounded memory that forgets what matters least, and never lets a try through for lack of room.

use super::{Account, Source};
use std::collections::{BTreeMap, BTreeSet};

const SECOND_US: i64 = 1_000_000;

/// What a try is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// An account, tried from one address.
    Pair(Account, Source),
    /// An account, from wherever.
    Account(Account),
    /// An address, whichever the account.
    Source(Source),
    /// A session, by its id.
    Session(u128),
}

/// How long what was counted delays the next try.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// `free` tries at once, then a second, two, four, up to `cap_us`. Remembered for `keep_us`.
    Growing { free: u32, cap_us: i64, keep_us: i64 },
    /// `burst` tries at once, then one each `every_us`.
    Steady { burst: u32, every_us: i64 },
}

/// Few tries are remembered for a quarter of an hour: they delay nobody.
const KEEP_FEW_US: i64 = 15 * 60 * SECOND_US;
/// Those for whom there is no room share this: one try each two seconds.
const REST: Rule = Rule::Steady { burst: 10, every_us: 2 * SECOND_US };

/// The state of one key. `at_us` is the last try of a growing delay, and of a steady one the instant at which
/// everything is made good (the theoretical arrival time of GCRA).
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    tries: u32,
    at_us: i64,
    is_told: bool,
}

impl Entry {
    /// The instant from which the next try may be made.
    fn ready_us(&self, rule: Rule) -> i64 {
        match rule {
            Rule::Growing { free, cap_us, .. } => match self.tries.checked_sub(free.max(1)) {
                None => i64::MIN,
                Some(over) => self.at_us + cap_us.min(SECOND_US << over.min(40)),
            },
            Rule::Steady { burst, every_us } => self.at_us - i64::from(burst - 1) * every_us,
        }
    }

    /// The instant from which it may be forgotten: nothing is lost by then.
    fn until_us(&self, rule: Rule) -> i64 {
        match rule {
            Rule::Growing { free, keep_us, .. } => self.at_us + if self.tries < free { KEEP_FEW_US } else { keep_us },
            Rule::Steady { .. } => self.at_us,
        }
    }

    /// Whether it delays nobody at this moment, and would not soon: it makes room for somebody else.
    fn is_harmless(&self, rule: Rule, now_us: i64) -> bool {
        match rule {
            Rule::Growing { free, .. } => self.tries < free,
            Rule::Steady { .. } => self.ready_us(rule) <= now_us,
        }
    }

    fn count(&mut self, rule: Rule, now_us: i64) {
        self.is_told = false;
        match rule {
            Rule::Growing { .. } => {
                self.tries = self.tries.saturating_add(1);
                self.at_us = now_us;
            }
            Rule::Steady { every_us, .. } => self.at_us = self.at_us.max(now_us) + every_us,
        }
    }

    fn give_back(&mut self, rule: Rule) {
        match rule {
            Rule::Growing { .. } => self.tries = self.tries.saturating_sub(1),
            Rule::Steady { every_us, .. } => self.at_us -= every_us,
        }
    }
}

/// Where a key's tries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// For itself.
    Own(Key),
    /// With all others for whom there is no room.
    Rest,
}

/// Keys of one kind.
#[derive(Debug)]
pub(super) struct Table {
    rule: Rule,
    entries_max: usize,
    entries: BTreeMap<Key, Entry>,
    /// The same keys by when they may be forgotten.
    order: BTreeSet<(i64, Key)>,
    rest: Entry,
}

impl Table {
    pub(super) fn new(rule: Rule, entries_max: usize) -> Self {
        assert!(entries_max > 0);
        let (entries, order) = (BTreeMap::new(), BTreeSet::new());
        Self { rule, entries_max, entries, order, rest: Entry::default() }
    }

    /// Finds where a key is counted, and makes room for a new one if that harms nobody.
    pub(super) fn slot(&mut self, key: Key, now_us: i64) -> Slot {
        if self.entries.get(&key).is_some_and(|entry| entry.until_us(self.rule) <= now_us) {
            self.remove(key);
        }
        if self.entries.contains_key(&key) || self.entries.len() < self.entries_max {
            return Slot::Own(key);
        }
        let &(until_us, first) = self.order.first().expect("a full table has a first entry");
        if until_us <= now_us || self.entries[&first].is_harmless(self.rule, now_us) {
            self.remove(first);
            return Slot::Own(key);
        }
        Slot::Rest
    }

    /// Microseconds that the next try must wait; 0 for none.
    pub(super) fn wait_us(&self, slot: Slot, now_us: i64) -> i64 {
        let ready_us = match slot {
            Slot::Own(key) => self.entries.get(&key).map_or(i64::MIN, |entry| entry.ready_us(self.rule)),
            Slot::Rest => self.rest.ready_us(REST),
        };
        ready_us.saturating_sub(now_us).max(0)
    }

    /// Counts a try, as if it had failed already.
    pub(super) fn count(&mut self, slot: Slot, now_us: i64) {
        match slot {
            Slot::Own(key) => self.change(key, |rule, entry| entry.count(rule, now_us)),
            Slot::Rest => self.rest.count(REST, now_us),
        }
        assert_eq!(self.entries.len(), self.order.len());
        assert!(self.entries.len() <= self.entries_max);
    }

    /// The try was not made after all.
    pub(super) fn give_back(&mut self, slot: Slot) {
        match slot {
            Slot::Own(key) if self.entries.contains_key(&key) => self.change(key, |rule, entry| entry.give_back(rule)),
            Slot::Own(_) => {} // Forgotten meanwhile.
            Slot::Rest => self.rest.give_back(REST),
        }
    }

    /// The try was right: a growing delay begins anew, a steady one does not count it.
    pub(super) fn forgive(&mut self, slot: Slot) {
        match (self.rule, slot) {
            (Rule::Growing { .. }, Slot::Own(key)) => self.remove(key),
            _ => self.give_back(slot),
        }
    }

    /// Whether nobody was told of this delay yet.
    pub(super) fn is_news(&mut self, slot: Slot) -> bool {
        let Slot::Own(key) = slot else { return false };
        self.entries.get_mut(&key).is_some_and(|entry| !std::mem::replace(&mut entry.is_told, true))
    }

    fn change(&mut self, key: Key, work: impl FnOnce(Rule, &mut Entry)) {
        let mut entry = self.entries.get(&key).copied().unwrap_or_default();
        self.remove(key);
        work(self.rule, &mut entry);
        self.order.insert((entry.until_us(self.rule), key));
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            assert!(self.order.remove(&(entry.until_us(self.rule), key)), "both know the same keys");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWING: Rule = Rule::Growing { free: 3, cap_us: 900 * SECOND_US, keep_us: 86_400 * SECOND_US };
    const STEADY: Rule = Rule::Steady { burst: 3, every_us: 10 * SECOND_US };

    fn key(no: u128) -> Key {
        Key::Session(no)
    }

    /// Tries as soon as it may, `times` times; the seconds waited before each.
    fn waits(table: &mut Table, key: Key, times: usize) -> Vec<i64> {
        let mut now_us = 1_000 * SECOND_US;
        let mut found = Vec::new();
        for _ in 0..times {
            let slot = table.slot(key, now_us);
            let wait_us = table.wait_us(slot, now_us);
            found.push(wait_us / SECOND_US);
            now_us += wait_us;
            assert_eq!(table.wait_us(slot, now_us), 0);
            table.count(slot, now_us);
        }
        found
    }

    #[test]
    fn delays_grow_and_are_capped() {
        let found = waits(&mut Table::new(GROWING, 10), key(1), 16);
        assert_eq!(found, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(waits(&mut Table::new(STEADY, 10), key(1), 6), [0, 0, 0, 10, 10, 10]);
    }

    #[test]
    fn what_was_right_is_forgiven() {
        for (rule, left) in [(GROWING, 0), (STEADY, 10)] {
            let mut table = Table::new(rule, 10);
            for _ in 0..4 {
                let slot = table.slot(key(1), 0);
                table.count(slot, 0);
            }
            table.forgive(Slot::Own(key(1)));
            assert_eq!(table.wait_us(Slot::Own(key(1)), 0) / SECOND_US, left, "{rule:?}");
            table.give_back(Slot::Own(key(1)));
            assert_eq!(table.wait_us(Slot::Own(key(1)), 0), 0);
        }
    }

    #[test]
    fn a_full_table_forgets_the_harmless_and_delays_the_rest() {
        let mut table = Table::new(GROWING, 2);
        let mut fail = |no: u128, times: usize, now_us: i64| {
            for _ in 0..times {
                let slot = table.slot(key(no), now_us);
                table.count(slot, now_us);
            }
            table.slot(key(no), now_us)
        };
        assert_eq!(fail(1, 4, 0), Slot::Own(key(1)));
        assert_eq!(fail(2, 1, 0), Slot::Own(key(2)));
        assert_eq!(fail(3, 4, 1), Slot::Own(key(3)), "the second had delayed nobody");
        assert_eq!(fail(4, 10, 2), Slot::Rest, "the others are remembered");
        assert!(table.wait_us(Slot::Rest, 2) > 0, "and whoever finds no room waits");
        assert!(table.wait_us(Slot::Own(key(1)), 2) > 0);
        let later = 86_401 * SECOND_US;
        assert_eq!(table.slot(key(4), later), Slot::Own(key(4)), "a day later there is room");
        assert_eq!(table.entries.len(), 1, "the oldest made it");
    }

    #[test]
    fn a_delay_is_told_once() {
        let mut table = Table::new(GROWING, 10);
        let slot = table.slot(key(1), 0);
        assert!(!table.is_news(slot), "nothing was tried");
        table.count(slot, 0);
        assert!(table.is_news(slot) && !table.is_news(slot));
        table.count(slot, 0);
        assert!(table.is_news(slot));
    }
}
