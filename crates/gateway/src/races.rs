//! Writers of one object at once: which of them the store kept is not told by the order of its answers.
//!
//! A write is announced before it goes up. If nobody else wrote the object meanwhile, it is stamped under the table's lock,
//! so that whoever begins later has a later stamp. After a race, each writer asks the store what is there now, one
//! after the other, and stamps what it heard in that order: the last one of a burst heard what stayed.
//!
//! It orders the writers of this process; what others do behind it is found by the sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects that are being written, by their name in the index.
#[derive(Default)]
pub(crate) struct Races(Mutex<BTreeMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    writers: usize,
    raced: bool,
    /// The last stamp that was given after a race; whoever holds it asks the store.
    order: Arc<tokio::sync::Mutex<i64>>,
}

/// A write that has begun, of one object or of several; dropped, it is over.
pub(crate) struct Running {
    races: Arc<Races>,
    objects: BTreeSet<String>,
}

impl Races {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a write.
    pub(crate) fn begin(self: &Arc<Self>, objects: impl IntoIterator<Item = String>) -> Running {
        let objects: BTreeSet<String> = objects.into_iter().collect();
        let mut entries = self.entries();
        for object in &objects {
            let entry = entries.entry(object.clone()).or_default();
            entry.writers += 1;
            entry.raced |= entry.writers > 1;
        }
        Running { races: Arc::clone(self), objects }
    }
}

impl Running {
    /// The stamp of a write, if of all its objects that others wrote meanwhile the store was `asked`; else the objects
    /// that are left to ask about.
    pub(crate) fn stamp(
        &self,
        asked: &BTreeSet<String>,
        not_before_us: i64,
        now_us: impl FnOnce() -> i64,
    ) -> Result<i64, BTreeSet<String>> {
        let entries = self.races.entries();
        let is_raced = |object: &&String| entries.get(*object).is_some_and(|entry| entry.raced);
        let left: BTreeSet<String> =
            self.objects.iter().filter(is_raced).filter(|object| !asked.contains(*object)).cloned().collect();
        if left.is_empty() { Ok(now_us().max(not_before_us)) } else { Err(left) }
    }

    /// Whoever holds this asks the store about the object; it keeps the last stamp that was given so.
    pub(crate) fn order(&self, object: &str) -> Arc<tokio::sync::Mutex<i64>> {
        self.races.entries().get(object).map(|entry| Arc::clone(&entry.order)).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut entries = self.races.entries();
        for object in &self.objects {
            if let Some(entry) = entries.get_mut(object) {
                entry.writers -= 1;
                if entry.writers == 0 {
                    entries.remove(object);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(races: &Arc<Races>) -> Running {
        races.begin(["o".to_owned()])
    }

    #[test]
    fn who_writes_alone_is_stamped_at_once() {
        let races = Arc::new(Races::default());
        let first = one(&races);
        assert_eq!(first.stamp(&BTreeSet::new(), 0, || 5), Ok(5));
        drop(first);
        assert_eq!(one(&races).stamp(&BTreeSet::new(), 0, || 6), Ok(6), "one after the other is no race");
        assert!(races.entries().is_empty());
    }

    #[test]
    fn all_writers_of_a_race_ask() {
        let races = Arc::new(Races::default());
        let (first, second) = (one(&races), one(&races));
        let raced = BTreeSet::from(["o".to_owned()]);
        assert_eq!(first.stamp(&BTreeSet::new(), 0, || 5), Err(raced.clone()));
        assert_eq!(first.stamp(&raced, 9, || 5), Ok(9));
        drop(first);
        assert_eq!(second.stamp(&BTreeSet::new(), 0, || 6), Err(raced), "also who is left over");
        drop(second);
        assert_eq!(one(&races).stamp(&BTreeSet::new(), 0, || 7), Ok(7), "the race is over");
    }

    #[test]
    fn of_many_objects_those_that_were_raced_are_asked_about() {
        let races = Arc::new(Races::default());
        let many = races.begin(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let _other = races.begin(["b".to_owned()]);
        assert_eq!(many.stamp(&BTreeSet::new(), 0, || 5), Err(BTreeSet::from(["b".to_owned()])));
    }
}
