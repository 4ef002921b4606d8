//! How the background parts are: when each succeeded and failed last, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A part that fails for so long is stuck.
const STUCK_US: i64 = 30_000_000;

/// What is known of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// When it last did its work.
    pub succeeded_us: Option<i64>,
    /// When it last failed.
    pub failed_us: Option<i64>,
    /// Why; empty when it never failed.
    pub error: String,
    /// Since when it is at work; `None` while it waits.
    pub running_us: Option<i64>,
    /// Failures in a row.
    pub failures: u32,
    /// Since when it has been failing.
    pub failing_us: Option<i64>,
    /// How often it was done.
    pub runs: u64,
}

/// All parts, by name.
#[derive(Default)]
pub struct Health(Mutex<BTreeMap<String, Part>>);

impl Health {
    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Part) -> T) -> T {
        // Plain assignments: none is left half done.
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(parts.entry(name.to_owned()).or_default())
    }

    pub(crate) fn begins(&self, name: &str, now_us: i64) {
        self.with(name, |part| part.running_us = Some(now_us));
    }

    pub(crate) fn succeeded(&self, name: &str, now_us: i64) {
        self.with(name, |part| {
            let Part { failed_us, error, runs, .. } = std::mem::take(part);
            *part = Part { succeeded_us: Some(now_us), failed_us, error, runs: runs + 1, ..Part::default() };
        });
    }

    /// Notes a failure; gives how many there were in a row.
    pub(crate) fn failed(&self, name: &str, now_us: i64, error: &str) -> u32 {
        self.with(name, |part| {
            part.failing_us = part.failing_us.or(Some(now_us));
            (part.failed_us, part.running_us, part.error) = (Some(now_us), None, error.to_owned());
            (part.failures, part.runs) = (part.failures + 1, part.runs + 1);
            part.failures
        })
    }

    /// What a part fails with, if it has been failing for half a minute.
    #[must_use]
    pub fn stuck(&self, name: &str, now_us: i64) -> Option<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let part = parts.get(name)?;
        part.failing_us.filter(|since| now_us - since >= STUCK_US).map(|_| part.error.clone())
    }

    /// Every part that was begun.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<String, Part> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_stuck_after_half_a_minute_of_failures() {
        let health = Health::default();
        health.begins("seal", 0);
        assert_eq!(health.failed("seal", 1_000_000, "disk full"), 1);
        assert_eq!(health.stuck("seal", 2_000_000), None, "it may pass");
        assert_eq!(health.failed("seal", 31_000_000, "disk full"), 2);
        assert_eq!(health.stuck("seal", 31_000_000), Some("disk full".to_owned()));
        health.succeeded("seal", 32_000_000);
        assert_eq!(health.stuck("seal", 90_000_000), None);
        let part = &health.parts()["seal"];
        assert_eq!((part.runs, part.failures, part.error.as_str()), (3, 0, "disk full"), "the last error stays told");
    }
}
