//! When one object existed, with which size, and whose it was. Pure.
//!
//! Events may come in any order: a late one is put where it belongs, as long as the spans around it are
//! remembered. What changes is told as differences of stored bytes at instants.

use base::{OrgId, RealmId, UserId};
use std::sync::Arc;

/// Who owns stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) realm: RealmId,
    pub(crate) org: OrgId,
    pub(crate) user: Option<UserId>,
    pub(crate) bucket: String,
    /// Storage class.
    pub(crate) class: String,
    pub(crate) org_path: String,
}

/// The end of what still exists.
pub(crate) const OPEN: i64 = i64::MAX;

/// An object existed from `at_us` until `until_us`. When they are equal, it is only known that it was
/// deleted (or replaced at once) then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at_us: i64,
    pub(crate) until_us: i64,
    pub(crate) owner: Arc<Owner>,
    pub(crate) account: String,
    pub(crate) size_bytes: i64,
}

/// A difference of stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) owner: Arc<Owner>,
    pub(crate) at_us: i64,
    pub(crate) delta_bytes: i64,
}

/// The spans of one object, in order; they do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    spans: Vec<Span>,
}

impl History {
    /// A history from stored spans, in any order.
    pub(crate) fn new(mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.at_us, span.until_us));
        Self { spans }
    }

    /// All spans, in order.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span that is not over.
    pub(crate) fn open(&self) -> Option<&Span> {
        self.spans.last().filter(|span| span.until_us == OPEN)
    }

    /// The last instant at which the object is known to have ended.
    pub(crate) fn ended_us(&self) -> Option<i64> {
        self.spans.iter().map(|span| span.until_us).filter(|until_us| *until_us != OPEN).max()
    }

    /// The first thing known to have happened after `at_us`.
    fn next_after(&self, at_us: i64) -> Option<i64> {
        let instants = self.spans.iter().flat_map(|span| [span.at_us, span.until_us]);
        instants.filter(|instant| *instant > at_us && *instant != OPEN).min()
    }

    /// Ends what existed at `at_us`. Later spans are not touched.
    fn cut(&mut self, at_us: i64, next_us: Option<i64>, booked: &mut Vec<Booking>) {
        let Some(span) = self.spans.iter_mut().find(|span| span.at_us <= at_us && at_us < span.until_us) else {
            return;
        };
        let mut book = |at_us, delta_bytes| {
            booked.push(Booking { owner: Arc::clone(&span.owner), at_us, delta_bytes });
        };
        book(at_us, -span.size_bytes);
        if let Some(next_us) = next_us {
            book(next_us, span.size_bytes);
        }
        span.until_us = at_us;
    }

    /// The object exists from `at_us` on, until the next thing that is known to have happened.
    pub(crate) fn put(&mut self, at_us: i64, owner: &Arc<Owner>, account: &str, size_bytes: i64) -> Vec<Booking> {
        let mut booked = Vec::new();
        let next_us = self.next_after(at_us);
        self.cut(at_us, next_us, &mut booked);
        booked.push(Booking { owner: Arc::clone(owner), at_us, delta_bytes: size_bytes });
        if let Some(next_us) = next_us {
            booked.push(Booking { owner: Arc::clone(owner), at_us: next_us, delta_bytes: -size_bytes });
        }
        self.insert(at_us, next_us.unwrap_or(OPEN), owner, account, size_bytes);
        booked
    }

    /// The object does not exist from `at_us` on, until the next thing that is known to have happened.
    pub(crate) fn delete(&mut self, at_us: i64, owner: &Arc<Owner>, account: &str) -> Vec<Booking> {
        let mut booked = Vec::new();
        let next_us = self.next_after(at_us);
        self.cut(at_us, next_us, &mut booked);
        // Both instants stay known, also when the span that ended there was cut.
        for instant in [Some(at_us), next_us].into_iter().flatten() {
            if !self.spans.iter().any(|span| span.at_us == instant || span.until_us == instant) {
                self.insert(instant, instant, owner, account, 0);
            }
        }
        booked
    }

    fn insert(&mut self, at_us: i64, until_us: i64, owner: &Arc<Owner>, account: &str, size_bytes: i64) {
        let place = self.spans.partition_point(|span| (span.at_us, span.until_us) <= (at_us, until_us));
        let span = Span { at_us, until_us, owner: Arc::clone(owner), account: account.to_owned(), size_bytes };
        self.spans.insert(place, span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn owner(user: u128) -> Arc<Owner> {
        let (bucket, org_path) = ("b".to_owned(), "/".to_owned());
        Arc::new(Owner {
            realm: RealmId(1),
            org: OrgId(1),
            user: Some(UserId(user)),
            bucket,
            class: "STANDARD".to_owned(),
            org_path,
        })
    }

    /// An event: instant, owner, size; no size is a delete.
    type Event = (i64, u128, Option<i64>);

    /// Bytes of each owner after each instant, from what was booked.
    fn levels(events: &[Event]) -> BTreeMap<(i64, u128), i64> {
        let mut history = History::default();
        let mut sums: BTreeMap<(i64, u128), i64> = BTreeMap::new();
        for (at_us, user, size) in events {
            let booked = match size {
                Some(size) => history.put(*at_us, &owner(*user), "a", *size),
                None => history.delete(*at_us, &owner(*user), "a"),
            };
            for booking in booked {
                let user = booking.owner.user.map_or(0, |user| user.0);
                *sums.entry((booking.at_us, user)).or_default() += booking.delta_bytes;
            }
            assert!(history.spans().windows(2).all(|pair| pair[0].until_us <= pair[1].at_us), "{history:?}");
        }
        sums.retain(|_, delta| *delta != 0);
        sums
    }

    #[test]
    fn a_late_write_lies_between_its_neighbours() {
        let events = [(1, 1, Some(70)), (10, 2, Some(100)), (5, 1, Some(50))];
        let expected = BTreeMap::from([((1, 1), 70), ((5, 1), -20), ((10, 1), -50), ((10, 2), 100)]);
        assert_eq!(levels(&events), expected);
    }

    #[test]
    fn a_write_that_comes_after_its_delete_ends_with_it() {
        let expected = BTreeMap::from([((5, 1), 50), ((10, 1), -50)]);
        assert_eq!(levels(&[(10, 1, None), (5, 1, Some(50))]), expected);
        assert_eq!(levels(&[(10, 1, None), (10, 1, None), (5, 1, Some(50))]), expected);
    }

    #[test]
    fn the_end_of_a_span_that_was_cut_stays_known() {
        let expected = BTreeMap::from([((1, 1), 1), ((12, 1), -1), ((20, 1), 1), ((21, 1), -1)]);
        assert_eq!(levels(&[(1, 1, Some(1)), (21, 1, None), (12, 1, None), (20, 1, Some(1))]), expected);
    }

    #[test]
    fn a_late_delete_leaves_what_came_after_it() {
        let expected = BTreeMap::from([((1, 1), 7), ((3, 1), -7), ((9, 2), 8)]);
        assert_eq!(levels(&[(1, 1, Some(7)), (9, 2, Some(8)), (3, 1, None)]), expected);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            events in proptest::collection::btree_map(0_i64..40, (1_u128..3, proptest::option::of(1_i64..9)), 0..9),
            shuffle: u64,
        ) {
            let in_order: Vec<Event> = events.into_iter().map(|(at_us, (user, size))| (at_us, user, size)).collect();
            let mut shuffled = in_order.clone();
            let mut chance = shuffle;
            for index in (1..shuffled.len()).rev() {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(index, (chance >> 33) as usize % (index + 1));
            }
            prop_assert_eq!(levels(&shuffled), levels(&in_order));
        }
    }
}
