//! The process's limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that stay free for databases, logs and usage files, whatever is connected.
pub const KEPT_FREE: usize = 512;

/// Raises the limit to what the system allows this process; gives the limit that holds now.
#[must_use]
pub fn raise_limit() -> usize {
    let found = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: found.maximum, maximum: found.maximum };
    // Where the system refuses, the old limit holds, and connections are fewer.
    let _ = setrlimit(Resource::Nofile, wanted);
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Connections of one port at once: two files each at most (an upload has one to the upstream), and two ports.
#[must_use]
pub fn connections_max(limit: usize) -> usize {
    (limit.saturating_sub(KEPT_FREE) / 4).clamp(64, 20_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ports_together_leave_files_free() {
        for limit in [1_024, 4_096, 20_000, 1 << 20] {
            assert!(connections_max(limit) * 4 + KEPT_FREE <= limit, "{limit}");
        }
        assert_eq!(connections_max(usize::MAX), 20_000);
        assert!(raise_limit() >= 64);
    }
}
