//! Stand-ins for the outside world, for trying Meterhouse out and for its tests.
//!
//! Nothing here ever holds real data.

pub mod s3_store;
