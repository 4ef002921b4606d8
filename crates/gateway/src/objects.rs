//! Object operations: place, pass, and note what changed in storage.

use crate::answer::Reply;
use crate::forward::{SmallRequest, upstream_headers};
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Mapping, Port, VirtualBucket};
use crate::route::{self, Place};
use crate::upload::{self, UploadBody, UploadState};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use metering::s3::ObjectChange;
use s3::payload::ChecksumsOf;
use s3::sigv4::UNSIGNED_PAYLOAD;
use s3::{Operation, Outgoing, PayloadDecoder, PayloadMode, Query, S3Error, full_body, names};
use serving::idle::{IdleBody, Silence};
use std::sync::Arc;

/// Largest body of one PUT, as on AWS.
pub(crate) const PUT_BYTES_MAX: u64 = 5 * 1_024 * 1_024 * 1_024;

/// The last bytes of a body are held back until all is verified. Of a body this short that is all of it,
/// and it goes out in one piece with its head.
const HELD_BYTES_MAX: u64 = 16 * 1_024;

/// Highest part number.
const PART_MAX: u32 = 10_000;

impl<P: Port> Gateway<P> {
    /// Serves an operation on an object.
    pub(crate) async fn process_object(
        &self,
        inbound: &Inbound,
        buckets: &[VirtualBucket],
        bucket: &VirtualBucket,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        match inbound.operation {
            Operation::Unknown(_) => return Err(S3Error::method_not_allowed().into()),
            Operation::CorsPreflight => return Err(S3Error::access_denied().into()),
            Operation::ObjectProperty(name, _) if name.ends_with("Acl") && inbound.operation.is_write() => {
                return Err(S3Error::access_denied().saying("Rights are given by the gateway, not by ACLs.").into());
            }
            _ => {}
        }
        let place = route::place(bucket, &inbound.target.raw_key, inbound.operation)?;
        meter.routed(&place.mapping);
        match inbound.operation {
            Operation::PutObject | Operation::UploadPart => self.upload(inbound, &place, body, meter).await,
            Operation::CopyObject | Operation::UploadPartCopy => self.copy(inbound, buckets, &place, meter).await,
            _ => {
                let reply = self.forward_small(inbound, &place.mapping, &place.raw_key, body, meter).await?;
                if reply.status.is_success() && reply.error_code.is_empty() {
                    let marked = reply.headers.get("x-amz-delete-marker").is_some_and(|value| value == "true");
                    self.note_small(inbound, &place, marked, meter).await;
                }
                Ok(reply)
            }
        }
    }

    /// Streams an upload through, verified before its last frame leaves.
    async fn upload(
        &self,
        inbound: &Inbound,
        place: &Place,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        let part = part_of(inbound)?;
        let decoder = PayloadDecoder::new(&inbound.verified, &inbound.headers, ChecksumsOf::Body)?;
        let length = decoder.declared_length().ok_or_else(S3Error::missing_content_length)?;
        if length > PUT_BYTES_MAX {
            return Err(S3Error::entity_too_large()
                .with("ProposedSize", length.to_string())
                .with("MaxSizeAllowed", PUT_BYTES_MAX.to_string())
                .into());
        }
        let mut headers = upstream_headers(inbound);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        let state = Arc::new(UploadState::default());
        let streams = length > HELD_BYTES_MAX;
        let outgoing_body = if streams {
            let silence = Silence::new(self.settings.client_idle_max);
            UploadBody::new(body, silence, decoder, length, meter.counters(), Arc::clone(&state)).boxed_unsync()
        } else {
            let body = IdleBody::new(body, self.settings.client_idle_max);
            full_body(upload::collect(body, decoder, HELD_BYTES_MAX, &meter.counters()).await?)
        };
        let query = inbound.query.to_raw();
        let outgoing = Outgoing {
            method: Method::PUT,
            bucket: &place.mapping.real_bucket,
            raw_key: &place.raw_key,
            query: &query,
            headers,
            body: outgoing_body,
            payload_hash: match &inbound.verified.payload {
                PayloadMode::Sha256(hash) => hash.as_str(),
                _ => UNSIGNED_PAYLOAD,
            },
            now_us: self.world.now_us(),
        };
        meter.count_upstream();
        let sent = self.send(&place.mapping, outgoing, streams.then_some(&*state)).await;
        if let Some(fault) = state.take_fault() {
            return Err(fault);
        }
        let response = sent?;
        if streams && response.status().is_success() && !state.is_verified() {
            tracing::error!(request_id = %inbound.request_id, "upstream accepted an upload before its end");
            return Err(S3Error::service_unavailable().into());
        }
        let reply = self.pass(inbound, &place.mapping, response, &[]).await?;
        if reply.status.is_success() {
            meter.change(match part {
                Some((upload_id, part)) => part_change(&place.mapping, &upload_id, part, length),
                None => put_change(place, length),
            });
        }
        Ok(reply)
    }

    /// Notes what a request with a small body changed. `marked`: a delete left a marker.
    async fn note_small(&self, inbound: &Inbound, place: &Place, marked: bool, meter: &mut Meter<P>) {
        let upload_id = inbound.query.text("uploadId").unwrap_or_default();
        match inbound.operation {
            Operation::DeleteObject
                // A marker or one version gone frees nothing that the index knows of; the sweep does.
                if !marked && !inbound.query.has("versionId") => {
                    meter.change(delete_change(place));
                }
            Operation::AbortMultipartUpload => meter.change(end_change(&place.mapping, &upload_id)),
            Operation::CompleteMultipartUpload => {
                meter.change(end_change(&place.mapping, &upload_id));
                self.note_put(place, meter).await;
            }
            _ => {}
        }
    }

    /// Notes an object whose size only the upstream knows.
    pub(crate) async fn note_put(&self, place: &Place, meter: &mut Meter<P>) {
        if let Some(size_bytes) = self.size_of(place, None, meter).await {
            meter.change(put_change(place, size_bytes));
        }
    }

    /// Asks the upstream for the size of an object. A failure is logged and left to the daily sweep,
    /// because the write itself has already happened.
    pub(crate) async fn size_of(&self, place: &Place, version: Option<&str>, meter: &Meter<P>) -> Option<u64> {
        let mut query = Query::default();
        if let Some(version) = version {
            query.set("versionId", version.as_bytes());
        }
        let request = SmallRequest {
            method: Method::HEAD,
            raw_key: &place.raw_key,
            query: &query,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let response = self.send_small(&place.mapping, request, meter).await.ok()?;
        let length = response.headers().get(header::CONTENT_LENGTH).filter(|_| response.status().is_success());
        let size = length.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        if size.is_none() {
            tracing::error!(account = %place.mapping.account, status = response.status().as_u16(), "size of a written object is not known");
        }
        size
    }
}

/// The upload id and part number of an UploadPart or UploadPartCopy.
pub(crate) fn part_of(inbound: &Inbound) -> Result<Option<(String, u32)>, S3Error> {
    if !matches!(inbound.operation, Operation::UploadPart | Operation::UploadPartCopy) {
        return Ok(None);
    }
    let upload_id = inbound.query.text("uploadId").unwrap_or_default();
    let number: Option<u32> = inbound.query.text("partNumber").and_then(|text| text.parse().ok());
    let part = number.filter(|part| (1..=PART_MAX).contains(part)).ok_or_else(|| {
        S3Error::invalid_argument()
            .saying("Part number must be an integer between 1 and 10000, inclusive")
            .with("ArgumentName", "partNumber")
    })?;
    Ok(Some((upload_id, part)))
}

fn object_hash(place: &Place) -> String {
    names::object_hash(place.mapping.account, &place.mapping.real_bucket, &place.real_key)
}

/// The object now exists with this size.
pub(crate) fn put_change(place: &Place, size_bytes: u64) -> ObjectChange {
    ObjectChange::Put { object: object_hash(place), size_bytes }
}

/// The object is gone.
pub(crate) fn delete_change(place: &Place) -> ObjectChange {
    ObjectChange::Delete { object: object_hash(place) }
}

/// A part now exists.
pub(crate) fn part_change(mapping: &Mapping, upload_id: &str, part: u32, size_bytes: u64) -> ObjectChange {
    ObjectChange::PutPart { upload: names::upload_hash(mapping.account, upload_id), part, size_bytes }
}

fn end_change(mapping: &Mapping, upload_id: &str) -> ObjectChange {
    ObjectChange::EndUpload { upload: names::upload_hash(mapping.account, upload_id) }
}
