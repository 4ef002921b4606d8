//! Object operations: place, pass, and note what changed in storage.

use crate::answer::Reply;
use crate::forward::upstream_headers;
use crate::gateway::{Fault, Gateway};
use crate::inbound::Inbound;
use crate::meter::Meter;
use crate::port::{Port, VirtualBucket};
use crate::races::Running;
use crate::route::{self, Place};
use crate::stored::{Stored, class_of, delete_change, end_change, object_hash, part_change, put_change, version_of};
use crate::upload::{self, UploadBody, UploadState};
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3::payload::ChecksumsOf;
use s3::sigv4::UNSIGNED_PAYLOAD;
use s3::{Operation, Outgoing, PayloadDecoder, PayloadMode, S3Error, full_body};
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
            _ => self.small(inbound, &place, body, meter).await,
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
        let running = self.races.begin(part.is_none().then(|| object_hash(place)));
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
        if reply.status.is_success() && reply.error_code.is_empty() {
            match part {
                Some((upload_id, part)) => meter.change(part_change(&place.mapping, &upload_id, part, length)),
                None => {
                    let version = version_of(&reply.headers);
                    let stored = Stored { size_bytes: length, class: class_of(&inbound.headers) };
                    let own = put_change(place, version, stored);
                    self.settle(place, &running, version, Some(own), meter).await;
                }
            }
        }
        Ok(reply)
    }

    /// Serves what has a small body, and notes what it changed.
    async fn small(
        &self,
        inbound: &Inbound,
        place: &Place,
        body: Incoming,
        meter: &mut Meter<P>,
    ) -> Result<Reply, Fault> {
        let writes = matches!(inbound.operation, Operation::DeleteObject | Operation::CompleteMultipartUpload);
        let running = self.races.begin(writes.then(|| object_hash(place)));
        let reply = self.forward_small(inbound, &place.mapping, &place.raw_key, body, meter).await?;
        if !reply.status.is_success() || !reply.error_code.is_empty() {
            return Ok(reply);
        }
        let upload_id = inbound.query.text("uploadId").unwrap_or_default();
        let version = version_of(&reply.headers);
        match inbound.operation {
            Operation::DeleteObject => {
                let asked = inbound.query.text("versionId").unwrap_or_default();
                let is_marker = reply.headers.get("x-amz-delete-marker").is_some_and(|value| value == "true");
                if let Some(change) = delete_change(place, &asked, is_marker, version) {
                    // A version that is named is nobody else's to write.
                    self.settle(place, &running, &asked, Some(change), meter).await;
                }
            }
            Operation::AbortMultipartUpload => meter.change(end_change(&place.mapping, &upload_id)),
            Operation::CompleteMultipartUpload => {
                meter.change(end_change(&place.mapping, &upload_id));
                self.note_put(place, &running, version, meter).await;
            }
            _ => {}
        }
        Ok(reply)
    }

    /// Notes an object whose size only the upstream knows.
    pub(crate) async fn note_put(&self, place: &Place, running: &Running, version: &str, meter: &mut Meter<P>) {
        let stored = self.stored(place, version, meter).await;
        let own = stored.map(|stored| put_change(place, version, stored));
        self.settle(place, running, version, own, meter).await;
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
