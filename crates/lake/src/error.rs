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
