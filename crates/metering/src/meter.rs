//! What can be measured: code, unit, aggregation, dimensions.

use serde::{Deserialize, Serialize};

/// How quantities of one meter are put together over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Quantities add up. Time-weighted meters are stored already multiplied by time (byte-seconds), so
    /// that they add up too.
    Sum,
    /// The largest quantity counts.
    Max,
}

/// A meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// `s3.bytes_out`.
    pub code: String,
    /// Singular unit of the quantity: `byte`, `request`, `byte_second`.
    pub unit: String,
    /// Sum or max.
    pub aggregation: Aggregation,
    /// Names of the dimensions that usage is rolled up by.
    pub dimensions: Vec<String>,
}

/// Requests by class and operation.
pub const S3_REQUESTS: &str = "s3.requests";
/// Object bytes received.
pub const S3_BYTES_IN: &str = "s3.bytes_in";
/// Body bytes sent.
pub const S3_BYTES_OUT: &str = "s3.bytes_out";
/// Stored bytes x seconds.
pub const S3_STORAGE: &str = "s3.storage";

/// The meters that the S3 gateway feeds.
#[must_use]
pub fn s3_meters() -> Vec<Meter> {
    let meter = |code: &str, unit: &str, dimensions: &[&str]| Meter {
        code: code.to_owned(),
        unit: unit.to_owned(),
        aggregation: Aggregation::Sum,
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
    };
    vec![
        meter(S3_REQUESTS, "request", &["billed", "bucket", "class", "operation"]),
        meter(S3_BYTES_IN, "byte", &["bucket"]),
        meter(S3_BYTES_OUT, "byte", &["bucket"]),
        meter(S3_STORAGE, "byte_second", &["bucket", "storage_class"]),
    ]
}

/// Whether `text` can be the code of a meter: lower-case words joined by dots.
#[must_use]
pub fn is_meter_code(text: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.len() <= 64 && text.split('.').all(word)
}
