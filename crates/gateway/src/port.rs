//! What the gateway needs from the rest of the system.

use base::{AccountId, MappingId, OrgId, RealmId, UserId};
use metering::s3::S3Request;
use s3::Upstream;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// The owner of a virtual access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// Realm of the key.
    pub realm: RealmId,
    /// Organisation that is charged.
    pub org: OrgId,
    /// User that the key belongs to.
    pub user: UserId,
    /// The key's public id.
    pub access_key_id: String,
    /// The key's secret.
    pub secret: String,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        write!(f, "Caller({} of {} in {})", self.access_key_id, self.user, self.org)
    }
}

/// A bucket as the tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualBucket {
    /// Name that the tenant uses.
    pub name: String,
    /// When it was made, microseconds UTC.
    pub created_us: i64,
    /// Where it lies: the whole bucket, folders of it, or both.
    pub mappings: Vec<Mapping>,
}

/// A virtual bucket or folder and the real place behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Row of the name space.
    pub mapping: MappingId,
    /// Virtual folder, empty for the whole bucket, else ending with `/`.
    pub folder: String,
    /// Upstream account.
    pub account: AccountId,
    /// How to reach it.
    pub upstream: Arc<Upstream>,
    /// Real bucket.
    pub real_bucket: String,
    /// Hidden prefix, empty or ending with `/`.
    pub prefix: String,
    /// Whether writes are allowed.
    pub writable: bool,
}

/// State that cannot be reached. The tenant sees a 503, the log sees the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(
    /// What is wrong.
    pub String,
);

/// The gateway's only way to state.
pub trait Port: Send + Sync + 'static {
    /// Finds the owner of a virtual access key; none when it is unknown or revoked.
    fn caller(&self, access_key_id: &str) -> impl Future<Output = Result<Option<Arc<Caller>>, PortError>> + Send;

    /// Gives the name space of a caller.
    fn buckets(&self, caller: &Caller) -> impl Future<Output = Result<Arc<Vec<VirtualBucket>>, PortError>> + Send;

    /// Records finished requests. Durable when it returns `Ok`; repeating an id counts once.
    fn record(&self, events: &[S3Request]) -> impl Future<Output = Result<(), PortError>> + Send;
}
