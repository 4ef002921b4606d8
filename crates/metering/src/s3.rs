//! One finished or aborted S3 request, as the gateway saw it, and the classes it is billed in.

use base::{AccountId, MappingId, OrgId, RealmId, RequestId, UserId};
use serde::{Deserialize, Serialize};

/// What a request counts as. Providers price the classes, not the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RequestClass {
    /// Writes and lists.
    A,
    /// Reads and everything else.
    B,
    /// Deletes and aborts.
    #[serde(rename = "free")]
    Free,
}

impl RequestClass {
    /// The word used in dimensions and prices.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::Free => "free",
        }
    }
}

/// How the caller proved who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// `Authorization` header.
    Header,
    /// Query string of a presigned link.
    Presigned,
}

/// What a request changed in the object index. Objects are named by a hash of account, real bucket and
/// real key: the index never needs the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum ObjectChange {
    /// The object now exists with this size (put, copy, completed multipart upload).
    Put {
        /// 32 hex digits.
        object: String,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// The object is gone.
    Delete {
        /// 32 hex digits.
        object: String,
    },
    /// A part of an unfinished multipart upload now exists.
    PutPart {
        /// Hash of the upload id, 32 hex digits.
        upload: String,
        /// Part number, 1 to 10,000.
        part: u32,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// An upload was completed or aborted: its parts are no longer counted.
    EndUpload {
        /// Hash of the upload id, 32 hex digits.
        upload: String,
    },
}

/// One request that the gateway answered, refused or saw cut off. `request_id` is the identity: however
/// often the event is delivered, it counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Request {
    /// Made by the gateway, also sent to the client as `x-amz-request-id`.
    pub request_id: RequestId,
    /// When the request ended, microseconds UTC.
    pub at_us: i64,
    /// The realm.
    pub realm: RealmId,
    /// The organisation that the access key belongs to: who is charged.
    pub org: OrgId,
    /// The user that the access key belongs to.
    pub user: UserId,
    /// The virtual access key's public id.
    pub access_key: String,
    /// Header or presigned.
    pub auth: AuthKind,
    /// Upstream account, if the request got that far.
    pub account: Option<AccountId>,
    /// Row of the name space, if the request got that far.
    pub mapping: Option<MappingId>,
    /// Virtual bucket as the client named it; empty for ListBuckets.
    pub bucket: String,
    /// Virtual key as the client named it (decoded, lossy), empty for bucket operations.
    pub key: String,
    /// Operation as in AWS usage reports: `PutObject`, `ListObjectsV2`.
    pub operation: String,
    /// Billing class of the operation.
    pub class: RequestClass,
    /// HTTP status sent to the client; 499 when the client went away before it.
    pub status: u16,
    /// S3 error code sent to the client, empty when none.
    pub error_code: String,
    /// The request or its answer was cut off.
    pub aborted: bool,
    /// Request body bytes as they crossed the socket, with chunk framing.
    pub bytes_in_wire: u64,
    /// Request body bytes of the object itself.
    pub bytes_in: u64,
    /// Answer body bytes handed to the socket.
    pub bytes_out: u64,
    /// Requests made to the upstream for this one.
    pub upstream_requests: u32,
    /// From first byte in to last byte out.
    pub duration_us: u64,
    /// Client address without port.
    pub source_ip: String,
    /// `User-Agent`, cut to 256 bytes.
    pub user_agent: String,
    /// Effects on the object index.
    pub changes: Vec<ObjectChange>,
}
