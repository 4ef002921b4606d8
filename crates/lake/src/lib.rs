//! The usage lake: durable append, exactly once, columnar files in the DuckLake 1.0 layout, roll-ups.
//!
//! Raw events go to the inbox and are acknowledged when they are on disk. The sealer turns ranges of the
//! inbox into usage records, drops what it has seen before, writes Parquet and registers the files, the
//! keys and the batch in one database transaction. Reads are over an explicit list of files; every row
//! carries its batch number, so that "everything up to batch w" is a fixed set for ever.
//!
//! The lake serves every realm: callers pass the realm they were granted.

mod catalog;
mod compact;
mod condition;
mod error;
mod inbox;
mod inbox_log;
mod inbox_table;
mod ingest;
mod object_history;
mod object_index;
mod object_rows;
mod open;
mod parquet_file;
mod quarantine;
mod records;
mod roll_up;
mod seal;
mod seen;
mod sums;
mod verified;

pub use compact::Compacted;
pub use error::LakeError;
pub use inbox::RawBatch;
pub use ingest::Settings;
pub use object_index::{Drift, Listing, SeenObject, SeenOwner, part_name};
pub use open::{Lake, known_files, settle_copy};
pub use quarantine::Quarantined;
pub use records::{RecordFilter, StoredRecord};
pub use roll_up::{Buckets, GroupBy, RollUp, RolledUp};
pub use seal::Sealed;
pub use verified::Damage;
