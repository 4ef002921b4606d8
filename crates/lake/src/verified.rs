//! Whether a usage file is the one that was written: its hash stands in the catalog.
//!
//! A file is read whole and hashed before the first question over it is answered, and again when its size, times or
//! inode changed; the scrub does so with every file within a day, whatever they say. No figure comes from a file that
//! does not match, compaction leaves it alone, and it counts again as soon as the right one is put back.

use crate::catalog::{self, LiveFile};
use crate::error::LakeError;
use crate::open::Lake;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;
/// The scrub sees everything within so many rounds.
const SCRUB_ROUNDS: u64 = 1_000;
/// Bytes that a round of the scrub reads at least.
const SCRUB_BYTES_MIN: u64 = 32 << 20;

/// What the file system says of a file whose content was found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size_bytes: u64,
    inode: u64,
    changed: (i64, i64),
}

/// A file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Its path below the folder of the usage files.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// Records that it should hold.
    pub records: i64,
}

/// What is known of the files.
#[derive(Default)]
pub(crate) struct Verified {
    right: Mutex<BTreeMap<i64, Stamp>>,
    damaged: Mutex<BTreeMap<i64, Damage>>,
    /// The file at which the scrub goes on.
    scrubbed: Mutex<i64>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every change under these locks is one insertion or removal.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Verified {
    /// Refuses a file that is not the one that was written.
    pub(crate) fn check(&self, table: &Path, file: &LiveFile) -> Result<(), LakeError> {
        self.look(table, file, false).map(drop)
    }

    /// The same; `afresh` reads it whatever the file system says of it. Gives its hash if the catalog has none.
    fn look(&self, table: &Path, file: &LiveFile, afresh: bool) -> Result<Option<String>, LakeError> {
        let path = table.join(&file.path);
        let io = |source: std::io::Error| LakeError::Io { path: path.display().to_string(), source };
        let found = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.damage(file, "is missing".to_owned()));
            }
            other => other.map_err(io)?,
        };
        let stamp = Stamp { size_bytes: found.len(), inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) };
        if !afresh && locked(&self.right).get(&file.file_id) == Some(&stamp) {
            return Ok(None);
        }
        if i64::try_from(stamp.size_bytes) != Ok(file.bytes) {
            return Err(self.damage(file, format!("has {} bytes instead of {}", stamp.size_bytes, file.bytes)));
        }
        let hash = hash_of(&path).map_err(io)?;
        if !file.hash.is_empty() && hash != file.hash {
            return Err(self.damage(file, format!("has the hash {hash} instead of {}", file.hash)));
        }
        if locked(&self.damaged).remove(&file.file_id).is_some() {
            tracing::info!(path = file.path, "a usage file is right again");
        }
        locked(&self.right).insert(file.file_id, stamp);
        Ok(file.hash.is_empty().then_some(hash))
    }

    fn damage(&self, file: &LiveFile, reason: String) -> LakeError {
        locked(&self.right).remove(&file.file_id);
        let damage = Damage { path: file.path.clone(), reason: reason.clone(), records: file.rows };
        if locked(&self.damaged).insert(file.file_id, damage).is_none() {
            tracing::error!(path = file.path, reason, records = file.rows, "ALARM: a usage file is damaged");
        }
        LakeError::Damaged { path: file.path.clone(), reason }
    }

    pub(crate) fn is_damaged(&self, file: &LiveFile) -> bool {
        locked(&self.damaged).contains_key(&file.file_id)
    }
}

fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Lake {
    /// Files that are not what was written: no figure is given over them until they are put back.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        locked(&self.inner.verified.damaged).values().cloned().collect()
    }

    /// Reads every file of usage and compares it with its hash; what differs is in [`Lake::damaged`]. Gives how many bytes
    /// there were.
    ///
    /// # Errors
    /// [`LakeError`] when the catalog or a file cannot be read.
    pub async fn check_all(&self) -> Result<u64, LakeError> {
        let files = catalog::live_files(&self.inner.catalog).await?;
        let (table, inner) = (self.inner.table_folder(), self.inner.clone());
        let work = move || {
            let mut bytes = 0;
            for file in &files {
                match inner.verified.look(&table, file, true) {
                    Ok(_) | Err(LakeError::Damaged { .. }) => bytes += file.bytes.unsigned_abs(),
                    Err(error) => return Err(error),
                }
            }
            Ok(bytes)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)?
    }

    /// One round of the scrub: reads the next files anew and compares them with their hashes. A thousand rounds see
    /// everything, so one a minute does it within a day. Gives how many bytes were read.
    ///
    /// # Errors
    /// [`LakeError`] when the catalog cannot be read; damage is noted, not an error.
    pub async fn scrub(&self) -> Result<u64, LakeError> {
        let files = catalog::live_files(&self.inner.catalog).await?;
        let all: u64 = files.iter().map(|file| file.bytes.unsigned_abs()).sum();
        let budget = (all / SCRUB_ROUNDS).max(SCRUB_BYTES_MIN);
        let after = *locked(&self.inner.verified.scrubbed);
        let place = files.partition_point(|file| file.file_id <= after);
        let (table, inner) = (self.inner.table_folder(), self.inner.clone());
        let work = move || {
            let (mut read, mut fresh, mut last) = (0, Vec::new(), 0);
            for file in &files[place..] {
                match inner.verified.look(&table, file, true) {
                    Ok(hash) => fresh.extend(hash.map(|hash| (file.file_id, hash))),
                    Err(LakeError::Damaged { .. }) => {}
                    Err(error) => return Err(error),
                }
                (read, last) = (read + file.bytes.unsigned_abs(), file.file_id);
                if read >= budget {
                    break;
                }
            }
            let is_end = files.last().is_none_or(|file| file.file_id == last);
            Ok((read, fresh, if is_end { 0 } else { last }))
        };
        let (read, fresh, last) = tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)??;
        for (file_id, hash) in fresh {
            let sql = "update lake_file set hash = $2 where data_file_id = $1 and hash = ''";
            sqlx::query(sql).bind(file_id).bind(hash).execute(&self.inner.catalog).await?;
        }
        *locked(&self.inner.verified.scrubbed) = last;
        Ok(read)
    }
}
