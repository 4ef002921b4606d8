//! Failures on order, for tests of what happens when the account behind the gateway misbehaves.
//!
//! They never touch what is stored.

use super::refusal::Refusal;
use http::StatusCode;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes coming requests fail. Clones order from the same plan.
#[derive(Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    queue: VecDeque<Planned>,
    refuse_all: bool,
    cut_after_bytes: Option<u64>,
}

struct Planned {
    status: StatusCode,
    code: &'static str,
    count: u32,
}

impl Faults {
    /// Answers the next `count` requests, signed or not, with `status` and an error document that
    /// says `code`. Several orders are served one after the other.
    ///
    /// # Panics
    /// When `status` is not between 400 and 599: that is a bug of the caller.
    pub fn fail_next(&self, status: u16, code: &'static str, count: u32) {
        assert!((400..600).contains(&status), "a fault needs an error status");
        let status = StatusCode::from_u16(status).expect("every number from 400 to 599 is a status");
        if count > 0 {
            self.plan().queue.push_back(Planned { status, code, count });
        }
    }

    /// Answers every request with 403 `AccessDenied`, as an account does whose key was taken away,
    /// until called with `false`.
    pub fn refuse_all_with_403(&self, refuse: bool) {
        self.plan().refuse_all = refuse;
    }

    /// Breaks the connection of the next download of a non-empty object after at most `bytes` bytes
    /// of its body.
    pub fn cut_next_download(&self, bytes: u64) {
        self.plan().cut_after_bytes = Some(bytes);
    }

    /// The failure due for this request.
    pub(super) fn due(&self) -> Option<Refusal> {
        let mut plan = self.plan();
        if plan.refuse_all {
            return Some(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"));
        }
        let planned = plan.queue.front_mut()?;
        planned.count -= 1;
        let refusal = Refusal::new(planned.status, planned.code, "This failure was ordered by a test.");
        if planned.count == 0 {
            plan.queue.pop_front();
        }
        Some(refusal)
    }

    /// Where to break this download, if anywhere.
    pub(super) fn take_cut(&self) -> Option<u64> {
        self.plan().cut_after_bytes.take()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
