//! Limits of the way in.

/// How the lake takes events in. The defaults are the measured ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// At most this many bytes of events are committed together.
    pub group_bytes_max: usize,
    /// A file of the inbox takes no more groups once it has so many bytes.
    pub segment_bytes_max: u64,
    /// When this many bytes wait unsealed, appending waits too: slow, never lossy.
    pub inbox_bytes_max: u64,
    /// At most this many events become one batch.
    pub batch_events_max: u64,
    /// Nor more than about so many bytes: they are in memory at once, several times.
    pub batch_bytes_max: u64,
    /// A fault for the control of the kill test: acknowledge before the commit. Never true in service.
    pub ack_before_commit: bool,
    /// Go on with an inbox that was cut: the operator knows that what it lost is lost.
    pub accept_cut_inbox: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group_bytes_max: 1 << 20,
            segment_bytes_max: 8 << 20,
            inbox_bytes_max: 512 << 20,
            batch_events_max: 100_000,
            batch_bytes_max: 48 << 20,
            ack_before_commit: false,
            accept_cut_inbox: false,
        }
    }
}
