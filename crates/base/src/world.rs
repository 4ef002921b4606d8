//! The only source of time and chance.

/// Gives out the time and fresh ids. One implementation reads the machine, one is set by hand for
/// tests and for the demo's simulated month. It stops at `app`: pure functions get `now` as a value.
pub trait World: Send + Sync + 'static {
    /// Microseconds since 1970-01-01 UTC.
    fn now_us(&self) -> i64;

    /// Fills `out` with unpredictable bytes.
    fn fill_random(&self, out: &mut [u8]);

    /// A new id: 48 bits of milliseconds, then 80 bits of chance, so that ids sort by time.
    fn fresh_id(&self) -> u128 {
        let mut chance = [0_u8; 16];
        self.fill_random(&mut chance[6..]);
        let millis = (self.now_us() / 1_000).max(0) as u128;
        (millis << 80) | u128::from_be_bytes(chance)
    }
}
