//! What the store holds: buckets, objects and unfinished uploads, by name and in memory.
//!
//! It never holds bytes of objects, only the files that do.

use super::call::Call;
use super::files::{Spooled, StoredFile};
use super::refusal::Refusal;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

const KEPT_HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-storage-class",
];

/// Bucket and key.
pub(super) type ObjectName = (String, String);
/// Bucket, key and upload id.
pub(super) type UploadName = (String, String, String);

/// Everything of one store.
#[derive(Default)]
pub(super) struct Index {
    /// Buckets with the time they were made, in microseconds.
    pub(super) buckets: BTreeMap<String, i64>,
    /// Finished objects.
    pub(super) objects: BTreeMap<ObjectName, Object>,
    /// Unfinished multipart uploads.
    pub(super) uploads: BTreeMap<UploadName, Upload>,
}

/// A finished object.
#[derive(Clone)]
pub(super) struct Object {
    /// Where its bytes are.
    pub(super) file: Arc<StoredFile>,
    /// How many they are.
    pub(super) size_bytes: u64,
    /// Its entity tag, without quotes.
    pub(super) etag: String,
    /// When it was stored, on a whole second.
    pub(super) modified_us: i64,
    /// The headers it was stored with and is given back with.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// An unfinished multipart upload.
pub(super) struct Upload {
    /// When it was started.
    pub(super) started_us: i64,
    /// The headers of the object to be.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Parts by number.
    pub(super) parts: BTreeMap<u32, Part>,
}

/// A part of an unfinished upload.
#[derive(Clone)]
pub(super) struct Part {
    /// Its bytes and hashes.
    pub(super) spooled: Spooled,
    /// When it arrived.
    pub(super) modified_us: i64,
}

impl Object {
    /// The entity tag as headers and documents write it.
    pub(super) fn quoted_etag(&self) -> String {
        format!("\"{}\"", self.etag)
    }

    /// The storage class it was stored with.
    pub(super) fn storage_class(&self) -> &str {
        storage_class(&self.headers)
    }
}

impl Upload {
    /// The storage class of the object to be.
    pub(super) fn storage_class(&self) -> &str {
        storage_class(&self.headers)
    }
}

impl Part {
    /// The part's entity tag, without quotes.
    pub(super) fn etag(&self) -> String {
        hex::encode(self.spooled.md5)
    }
}

impl Index {
    /// Refuses a bucket that does not exist.
    pub(super) fn require_bucket(&self, bucket: &str) -> Result<(), Refusal> {
        if self.buckets.contains_key(bucket) { Ok(()) } else { Err(Refusal::no_such_bucket(bucket)) }
    }

    /// An object, or which of bucket and key is missing.
    pub(super) fn object(&self, bucket: &str, key: &str) -> Result<Object, Refusal> {
        self.require_bucket(bucket)?;
        let found = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        found.cloned().ok_or_else(|| Refusal::no_such_key(key))
    }

    /// The upload a request is about.
    pub(super) fn upload_mut(&mut self, call: &Call<'_>) -> Result<&mut Upload, Refusal> {
        self.require_bucket(&call.bucket)?;
        let name = upload_name(call);
        self.uploads.get_mut(&name).ok_or_else(|| Refusal::no_such_upload(&name.2))
    }

    /// Whether a bucket holds no object.
    pub(super) fn is_empty_bucket(&self, bucket: &str) -> bool {
        let from = Bound::Included((bucket.to_owned(), String::new()));
        let mut later = self.objects.range::<ObjectName, _>((from, Bound::Unbounded));
        later.next().is_none_or(|((found, _), _)| found != bucket)
    }
}

/// The name of the upload a request is about.
pub(super) fn upload_name(call: &Call<'_>) -> UploadName {
    let upload_id = call.parameter("uploadId").unwrap_or_default();
    (call.bucket.clone(), call.key.clone(), upload_id.to_owned())
}

/// The headers of a request that an object keeps.
pub(super) fn kept_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_kept(name: &str) -> bool {
    KEPT_HEADERS.contains(&name) || name.starts_with("x-amz-meta-")
}

fn storage_class(headers: &[(HeaderName, HeaderValue)]) -> &str {
    let found = headers.iter().find(|(name, _)| name.as_str() == "x-amz-storage-class");
    found.and_then(|(_, value)| value.to_str().ok()).unwrap_or("STANDARD")
}
