//! What tests share: a world that is set by hand, temporary folders, databases on both engines.

use base::World;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A world whose clock stands until a test moves it, and whose chance follows from a seed.
pub struct TestWorld {
    now_us: AtomicI64,
    chance: Mutex<u64>,
}

impl TestWorld {
    /// A world at an RFC 3339 instant.
    ///
    /// # Panics
    /// When the text is not an instant.
    #[must_use]
    pub fn at(instant: &str, seed: u64) -> Self {
        let now_us = base::period::parse_instant(instant).expect("a test names an instant");
        Self { now_us: AtomicI64::new(now_us), chance: Mutex::new(seed) }
    }

    /// Sets the clock.
    pub fn set(&self, now_us: i64) {
        self.now_us.store(now_us, Ordering::SeqCst);
    }

    /// Moves the clock.
    pub fn advance(&self, by_us: i64) {
        self.now_us.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl World for TestWorld {
    fn now_us(&self) -> i64 {
        self.now_us.load(Ordering::SeqCst)
    }

    fn fill_random(&self, out: &mut [u8]) {
        let mut state = self.chance.lock().expect("no test panics while it draws");
        for byte in out {
            // splitmix64: enough for tests, and the same on every machine.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
    }
}

/// A folder that goes away with the value.
pub struct TempFolder(PathBuf);

static FOLDERS: AtomicU64 = AtomicU64::new(0);

impl TempFolder {
    /// A fresh, empty folder.
    ///
    /// # Panics
    /// When the system gives none.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let no = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("meterhouse-{name}-{}-{no}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The PostgreSQL server for tests, from `METERHOUSE_TEST_POSTGRES`: a URL without database, such as
/// `postgres://tester@127.0.0.1:5433`. `dev/test` starts one; without it tests fail, they are not skipped.
///
/// # Panics
/// When the variable is missing.
#[must_use]
pub fn postgres_server() -> String {
    std::env::var("METERHOUSE_TEST_POSTGRES")
        .expect("METERHOUSE_TEST_POSTGRES is not set: run the tests with ./dev/test, which starts PostgreSQL")
}

/// Makes an empty PostgreSQL database and gives its URL.
///
/// # Panics
/// When the server refuses.
#[must_use]
pub fn postgres_database(name: &str) -> String {
    let server = postgres_server();
    let no = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let database = format!("t_{name}_{}_{no}", std::process::id());
    run_psql(&format!("{server}/postgres"), &format!("create database {database}"));
    format!("{server}/{database}")
}

/// Runs one statement with `psql` and gives what it prints.
///
/// # Panics
/// When it fails.
pub fn run_psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args([url, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).output();
    let output = output.expect("psql is installed by dev/install");
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
