//! S3 accounts, the name space over them, access keys, and the sweep that holds the index and the store together.

pub mod buckets;
pub mod keys;
pub(crate) mod s3_cache;
pub mod s3_session;
pub mod sources;
pub mod sweep;
pub(crate) mod sweeps;
