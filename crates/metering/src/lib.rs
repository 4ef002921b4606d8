//! Meters, the usage vocabulary and mediation: from what happened outside to usage records.
//!
//! Pure: given the same raw event the same records come out, with the same ids, so that any batch may
//! be delivered again. Never reads a clock, never looks anything up.

pub mod mediate;
pub mod meter;
pub mod record;
pub mod s3;

pub use mediate::{RawEvent, mediate};
pub use meter::{Aggregation, Meter};
pub use record::{RecordKind, Reject, UsageRecord};
