//! The machine's own clock and chance, with a clock that the demo can set.

use base::World;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Time and chance of this machine. The clock may be shifted: the demo lives through a month in seconds.
#[derive(Debug, Default)]
pub struct MachineWorld {
    shift_us: AtomicI64,
}

impl MachineWorld {
    /// Shifts the clock so that it shows `now_us` at this moment and runs on from there.
    pub fn set(&self, now_us: i64) {
        self.shift_us.store(now_us - machine_now_us(), Ordering::SeqCst);
    }

    /// Goes back to the machine's own time.
    pub fn reset(&self) {
        self.shift_us.store(0, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
fn machine_now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl World for MachineWorld {
    fn now_us(&self) -> i64 {
        machine_now_us() + self.shift_us.load(Ordering::SeqCst)
    }

    fn fill_random(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the system gives random bytes");
    }
}
