//! What can go wrong in the lake.

/// An error of the lake. Nothing is half done after one.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The catalog database.
    #[error("lake catalog: {0}")]
    Database(#[from] sqlx::Error),
    /// A Parquet file.
    #[error("lake file {path}: {source}")]
    Parquet {
        /// Which file.
        path: String,
        /// What the format says.
        source: parquet::errors::ParquetError,
    },
    /// The disk.
    #[error("lake file {path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A usage file is not the one that was written: no figure is given over it.
    #[error("usage file {path} {reason}")]
    Damaged {
        /// Which file, below the folder of the usage files.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be kept could not be written; it may or may not be kept.
    #[error("lake inbox: {0}")]
    NotKept(String),
    /// Something stored does not read back.
    #[error("lake: {0}")]
    Corrupt(String),
    /// A sum left 128 bits.
    #[error("lake: {0}")]
    Decimal(#[from] base::DecimalError),
    /// The lake was closed.
    #[error("the lake is closed")]
    Closed,
}

impl LakeError {
    /// Whether it passes by itself, or with what the operator does about disk and database: the same call may work
    /// later. What does not pass is a matter of the data.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => passes(error),
            Self::Io { .. } | Self::NotKept(_) | Self::Closed => true,
            // Written to a full disk, it is the disk's error in the format's words.
            Self::Parquet { source, .. } => is_of_the_disk(source),
            Self::Damaged { .. } | Self::Corrupt(_) | Self::Decimal(_) => false,
        }
    }
}

fn is_of_the_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(disk) = error.downcast_ref::<std::io::Error>() {
            // A file that ends too soon is damaged, not out of reach.
            return disk.kind() != std::io::ErrorKind::UnexpectedEof;
        }
        if let Some(parquet::errors::ParquetError::External(inner)) = error.downcast_ref() {
            cause = Some(inner.as_ref());
            continue;
        }
        cause = error.source();
    }
    false
}

/// Whether a database's error is about its circumstances (gone, full, locked), not about what it was given.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default();
            // PostgreSQL: data exceptions, violated constraints. SQLite: too big, constraint, mismatch.
            let data = ["22", "23", "42"].iter().any(|class| code.len() == 5 && code.starts_with(class))
                || (code.len() < 5 && ["18", "19", "20"].contains(&&*code))
                || (code.len() < 5 && code.parse::<i64>().is_ok_and(|code| code & 0xff == 19));
            !data
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::errors::ParquetError;
    use std::io;

    #[test]
    fn a_full_disk_is_no_fault_of_the_events() {
        let path = || "f".to_owned();
        let of = |kind: io::ErrorKind| LakeError::Parquet {
            path: path(),
            source: ParquetError::from(io::Error::from(kind)),
        };
        assert!(of(io::ErrorKind::StorageFull).is_passing());
        assert!(of(io::ErrorKind::ReadOnlyFilesystem).is_passing());
        assert!(!of(io::ErrorKind::UnexpectedEof).is_passing());
        let wrong = LakeError::Parquet { path: path(), source: ParquetError::General("bad page".to_owned()) };
        assert!(!wrong.is_passing());
    }
}
