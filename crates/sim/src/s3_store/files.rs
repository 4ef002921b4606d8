//! The files objects and parts live in: written under a draft name, renamed when whole, removed with
//! their last user.
//!
//! It never holds more of an object in memory than one buffer.

use md5::Md5;
use sha2::{Digest, Sha256};
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter};

const BUFFER_BYTES: usize = 256 * 1024;

/// A file that goes away with its last owner, so a download outlives the deletion of its object.
#[derive(Debug)]
pub(super) struct StoredFile {
    path: PathBuf,
}

impl StoredFile {
    /// Opens the file at an offset.
    pub(super) async fn open_at(&self, start: u64) -> std::io::Result<File> {
        let mut file = File::open(&self.path).await?;
        if start > 0 {
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok(file)
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "s3 store could not remove a file");
        }
    }
}

/// A file being written. Dropped before its end, it leaves nothing.
pub(super) struct Spool {
    writer: BufWriter<File>,
    draft: StoredFile,
    kept_path: PathBuf,
    md5: Md5,
    sha256: Sha256,
    size_bytes: u64,
}

/// A file written to its end.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    /// Where the bytes are.
    pub(super) file: Arc<StoredFile>,
    /// How many they are.
    pub(super) size_bytes: u64,
    /// Their MD5.
    pub(super) md5: [u8; 16],
    /// Their SHA-256.
    pub(super) sha256: [u8; 32],
}

impl Spool {
    /// Starts file `number` of `data_dir`, making the directory when it is missing.
    pub(super) async fn create(data_dir: &Path, number: u64) -> std::io::Result<Self> {
        tokio::fs::create_dir_all(data_dir).await?;
        let path = data_dir.join(format!("incoming-{number:012}"));
        let file = File::create(&path).await?;
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER_BYTES, file),
            draft: StoredFile { path },
            kept_path: data_dir.join(format!("object-{number:012}")),
            md5: Md5::new(),
            sha256: Sha256::new(),
            size_bytes: 0,
        })
    }

    /// Adds bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.md5.update(bytes);
        self.sha256.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.writer.write_all(bytes).await
    }

    /// Adds `count` bytes of another file, from `start`.
    pub(super) async fn append(&mut self, source: &StoredFile, start: u64, count: u64) -> std::io::Result<()> {
        let mut bytes = source.open_at(start).await?.take(count);
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        let end = self.size_bytes + count;
        loop {
            let read = bytes.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            self.write(&buffer[..read]).await?;
        }
        if self.size_bytes == end { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Closes the file and gives it its lasting name.
    pub(super) async fn finish(mut self) -> std::io::Result<Spooled> {
        self.writer.flush().await?;
        tokio::fs::rename(&self.draft.path, &self.kept_path).await?;
        self.draft.path = self.kept_path;
        Ok(Spooled {
            file: Arc::new(self.draft),
            size_bytes: self.size_bytes,
            md5: self.md5.finalize().into(),
            sha256: self.sha256.finalize().into(),
        })
    }
}
