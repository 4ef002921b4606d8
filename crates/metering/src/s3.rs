//! One finished or aborted S3 request, as the gateway saw it, and the classes it is billed in.

use crate::record::{put_text, take, take_text};
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

/// The largest object there is: a pebibyte, of which no store takes a twentieth. More is a lie that would end every sum.
pub const OBJECT_BYTES_MAX: u64 = 1 << 50;

/// The storage class of what names none.
pub const STANDARD: &str = "STANDARD";

fn standard() -> String {
    STANDARD.to_owned()
}

/// The storage class that a header or a list names: `STANDARD` for none, and for what is no class.
#[must_use]
pub fn storage_class(said: &str) -> String {
    let is_class = (1..=32).contains(&said.len()) && said.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_class { said.to_owned() } else { standard() }
}

/// What a request changed in the object index. Objects are named by a hash of account, real bucket and
/// real key: the index never needs the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum ObjectChange {
    /// The object now exists with this size (put, copy, completed multipart upload).
    Put {
        /// 32 hex digits; with versions, a dot and 32 more of the version's.
        object: String,
        /// Size in bytes.
        size_bytes: u64,
        /// Storage class as S3 names it.
        #[serde(default = "standard")]
        class: String,
    },
    /// The object is gone.
    Delete {
        /// As in `Put`.
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
        /// Storage class as S3 names it.
        #[serde(default = "standard")]
        class: String,
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

impl S3Request {
    /// Writes the compact form, which waits in the inbox together with the organisation's place.
    pub fn write_compact(&self, org_path: &str, out: &mut Vec<u8>) {
        put_text(out, org_path);
        for id in [self.request_id.0, self.realm.0, self.org.0, self.user.0] {
            out.extend_from_slice(&id.to_le_bytes());
        }
        put_id(out, self.account.map(|id| id.0));
        put_id(out, self.mapping.map(|id| id.0));
        for text in [&self.access_key, &self.bucket, &self.key, &self.operation] {
            put_text(out, text);
        }
        for text in [&self.error_code, &self.source_ip, &self.user_agent] {
            put_text(out, text);
        }
        out.push(u8::from(self.auth == AuthKind::Presigned));
        out.push(self.class as u8);
        out.push(u8::from(self.aborted));
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.at_us.to_le_bytes());
        for number in [self.bytes_in_wire, self.bytes_in, self.bytes_out, self.duration_us] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.upstream_requests.to_le_bytes());
        let changes = u32::try_from(self.changes.len()).expect("a request changes few objects");
        out.extend_from_slice(&changes.to_le_bytes());
        for change in &self.changes {
            change.write_compact(out);
        }
    }

    /// Reads the compact form back, with the organisation's place; `None` when it is damaged.
    #[must_use]
    pub fn read_compact(bytes: &[u8]) -> Option<(String, Self)> {
        let mut rest = bytes;
        let rest = &mut rest;
        let org_path = take_text(rest)?;
        let request = Self {
            request_id: RequestId(u128::from_le_bytes(take(rest)?)),
            realm: RealmId(u128::from_le_bytes(take(rest)?)),
            org: OrgId(u128::from_le_bytes(take(rest)?)),
            user: UserId(u128::from_le_bytes(take(rest)?)),
            account: take_id(rest)?.map(AccountId),
            mapping: take_id(rest)?.map(MappingId),
            access_key: take_text(rest)?,
            bucket: take_text(rest)?,
            key: take_text(rest)?,
            operation: take_text(rest)?,
            error_code: take_text(rest)?,
            source_ip: take_text(rest)?,
            user_agent: take_text(rest)?,
            auth: match take::<1>(rest)?[0] {
                0 => AuthKind::Header,
                1 => AuthKind::Presigned,
                _ => return None,
            },
            class: match take::<1>(rest)?[0] {
                0 => RequestClass::A,
                1 => RequestClass::B,
                2 => RequestClass::Free,
                _ => return None,
            },
            aborted: match take::<1>(rest)?[0] {
                0 => false,
                1 => true,
                _ => return None,
            },
            status: u16::from_le_bytes(take(rest)?),
            at_us: i64::from_le_bytes(take(rest)?),
            bytes_in_wire: u64::from_le_bytes(take(rest)?),
            bytes_in: u64::from_le_bytes(take(rest)?),
            bytes_out: u64::from_le_bytes(take(rest)?),
            duration_us: u64::from_le_bytes(take(rest)?),
            upstream_requests: u32::from_le_bytes(take(rest)?),
            changes: ObjectChange::take_all(rest)?,
        };
        rest.is_empty().then_some((org_path, request))
    }
}

impl ObjectChange {
    fn write_compact(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put { object, size_bytes, class } => {
                // The usual class is not written: what waits in an inbox of before has none.
                out.push(if class == STANDARD { 0 } else { 4 });
                put_text(out, object);
                out.extend_from_slice(&size_bytes.to_le_bytes());
                put_class(out, class);
            }
            Self::Delete { object } => {
                out.push(1);
                put_text(out, object);
            }
            Self::PutPart { upload, part, size_bytes, class } => {
                out.push(if class == STANDARD { 2 } else { 5 });
                put_text(out, upload);
                out.extend_from_slice(&part.to_le_bytes());
                out.extend_from_slice(&size_bytes.to_le_bytes());
                put_class(out, class);
            }
            Self::EndUpload { upload } => {
                out.push(3);
                put_text(out, upload);
            }
        }
    }

    fn take_all(rest: &mut &[u8]) -> Option<Vec<Self>> {
        let count = u32::from_le_bytes(take(rest)?);
        let mut changes = Vec::new();
        for _ in 0..count {
            let tag = take::<1>(rest)?[0];
            changes.push(match tag {
                0 | 4 => Self::Put {
                    object: take_text(rest)?,
                    size_bytes: u64::from_le_bytes(take(rest)?),
                    class: take_class(rest, tag == 4)?,
                },
                1 => Self::Delete { object: take_text(rest)? },
                2 | 5 => Self::PutPart {
                    upload: take_text(rest)?,
                    part: u32::from_le_bytes(take(rest)?),
                    size_bytes: u64::from_le_bytes(take(rest)?),
                    class: take_class(rest, tag == 5)?,
                },
                3 => Self::EndUpload { upload: take_text(rest)? },
                _ => return None,
            });
        }
        Some(changes)
    }
}

fn put_class(out: &mut Vec<u8>, class: &str) {
    if class != STANDARD {
        put_text(out, class);
    }
}

fn take_class(rest: &mut &[u8], is_named: bool) -> Option<String> {
    if is_named { take_text(rest) } else { Some(standard()) }
}

fn put_id(out: &mut Vec<u8>, id: Option<u128>) {
    out.push(u8::from(id.is_some()));
    out.extend_from_slice(&id.unwrap_or(0).to_le_bytes());
}

#[expect(clippy::option_option, reason = "damaged, absent, or there")]
fn take_id(rest: &mut &[u8]) -> Option<Option<u128>> {
    let known = take::<1>(rest)?[0];
    let id = u128::from_le_bytes(take(rest)?);
    match known {
        0 => Some(None),
        1 => Some(Some(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_form_round_trips_and_detects_damage() {
        let text = |name: &str| name.to_owned();
        let request = S3Request {
            request_id: RequestId(9),
            at_us: -5,
            realm: RealmId(1),
            org: OrgId(2),
            user: UserId(3),
            access_key: text("MHKEY"),
            auth: AuthKind::Presigned,
            account: Some(AccountId(0)),
            mapping: None,
            bucket: text("photos"),
            key: text("ä/b.jpg"),
            operation: text("PutObject"),
            class: RequestClass::Free,
            status: 499,
            error_code: text("NoSuchKey"),
            aborted: true,
            bytes_in_wire: u64::MAX,
            bytes_in: 100,
            bytes_out: 7,
            upstream_requests: 1,
            duration_us: 5,
            source_ip: text("::1"),
            user_agent: text("aws-cli"),
            changes: vec![
                ObjectChange::Put { object: text("o1"), size_bytes: 1, class: standard() },
                ObjectChange::Put { object: text("o1"), size_bytes: 1, class: text("GLACIER") },
                ObjectChange::Delete { object: text("o2") },
                ObjectChange::PutPart { upload: text("u"), part: 10_000, size_bytes: 2, class: standard() },
                ObjectChange::PutPart { upload: text("u"), part: 1, size_bytes: 2, class: text("STANDARD_IA") },
                ObjectChange::EndUpload { upload: text("u") },
            ],
        };
        let mut bytes = Vec::new();
        request.write_compact("/a/b/", &mut bytes);
        assert_eq!(S3Request::read_compact(&bytes), Some((text("/a/b/"), request)));
        for length in 0..bytes.len() {
            assert_eq!(S3Request::read_compact(&bytes[..length]), None);
        }
    }
}
