//! Metering: exactly one event for each authenticated request, finished, refused or cut off.

use crate::gateway::Gateway;
use crate::inbound::Inbound;
use crate::port::{Port, PortError};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use metering::s3::{AuthKind, ObjectChange, RequestClass, S3Request};
use s3::BoxError;
use serving::wire::Receipt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// Status of a request whose client went away before the answer.
pub(crate) const CLIENT_GONE: u16 = 499;

const USER_AGENT_BYTES_MAX: usize = 256;

/// What is counted while bodies stream.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Request body bytes as they crossed the socket.
    pub wire_in: AtomicU64,
    /// Request body bytes of the object.
    pub object_in: AtomicU64,
    /// Requests made to upstreams.
    pub upstream: AtomicU32,
}

/// The event of a request in the making. Dropped without being finished, it records an aborted request.
pub(crate) struct Meter<P: Port> {
    gateway: Arc<Gateway<P>>,
    event: Option<S3Request>,
    started_us: i64,
    /// When what it changed came to be, in the order of the store; when it ended, if it is none's business.
    changed_us: Option<i64>,
    counters: Arc<Counters>,
}

impl<P: Port> Meter<P> {
    /// Starts the event of an authenticated request.
    pub(crate) fn new(gateway: Arc<Gateway<P>>, inbound: &Inbound, source_ip: String) -> Self {
        let event = S3Request {
            request_id: inbound.request_id,
            at_us: inbound.started_us,
            realm: inbound.caller.realm,
            org: inbound.caller.org,
            user: inbound.caller.user,
            access_key: inbound.caller.access_key_id.clone(),
            auth: match inbound.verified.kind {
                s3::AuthKind::Header => AuthKind::Header,
                s3::AuthKind::Presigned => AuthKind::Presigned,
            },
            account: None,
            mapping: None,
            bucket: inbound.target.bucket.clone(),
            key: inbound.target.key_text(),
            operation: inbound.operation.name().to_owned(),
            class: match inbound.operation.class() {
                s3::Class::A => RequestClass::A,
                s3::Class::B => RequestClass::B,
                s3::Class::Free => RequestClass::Free,
            },
            status: 0,
            error_code: String::new(),
            aborted: false,
            bytes_in_wire: 0,
            bytes_in: 0,
            bytes_out: 0,
            upstream_requests: 0,
            duration_us: 0,
            source_ip,
            user_agent: user_agent(inbound),
            changes: Vec::new(),
        };
        gateway.recorder.begun();
        Self { gateway, event: Some(event), started_us: inbound.started_us, changed_us: None, counters: Arc::default() }
    }

    /// The counters, to be shared with bodies.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Counts a request to an upstream.
    pub(crate) fn count_upstream(&self) {
        self.counters.upstream.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes where the request goes.
    pub(crate) fn routed(&mut self, mapping: &crate::port::Mapping) {
        if let Some(event) = &mut self.event {
            event.account = Some(mapping.account);
            event.mapping = Some(mapping.mapping);
        }
    }

    /// Notes an effect on the object index.
    pub(crate) fn change(&mut self, change: ObjectChange) {
        if let Some(event) = &mut self.event {
            event.changes.push(change);
        }
    }

    /// Notes when what it changed came to be. The last of several counts.
    pub(crate) fn stamp(&mut self, at_us: i64) {
        self.changed_us = Some(self.changed_us.map_or(at_us, |known| known.max(at_us)));
    }

    /// Notes the answer's status and code.
    pub(crate) fn answered(&mut self, status: u16, error_code: &str) {
        if let Some(event) = &mut self.event {
            event.status = status;
            error_code.clone_into(&mut event.error_code);
        }
    }

    fn take(&mut self, bytes_out: u64, aborted: bool) -> Option<S3Request> {
        let mut event = self.event.take()?;
        let now_us = self.gateway.world.now_us();
        event.at_us = self.changed_us.unwrap_or(now_us);
        event.duration_us = u64::try_from(now_us - self.started_us).unwrap_or(0);
        event.bytes_in_wire = self.counters.wire_in.load(Ordering::Relaxed);
        event.bytes_in = self.counters.object_in.load(Ordering::Relaxed);
        event.upstream_requests = self.counters.upstream.load(Ordering::Relaxed);
        event.bytes_out = bytes_out;
        event.aborted = aborted;
        if event.status == 0 {
            event.status = CLIENT_GONE;
        }
        Some(event)
    }

    /// Records the event and waits until it is durable.
    pub(crate) async fn commit(&mut self, bytes_out: u64, aborted: bool) -> Result<(), PortError> {
        match self.take(bytes_out, aborted) {
            Some(event) => self.gateway.record(event).await,
            None => Ok(()),
        }
    }

    /// Records the event without waiting.
    pub(crate) fn finish(&mut self, bytes_out: u64, aborted: bool) {
        if let Some(event) = self.take(bytes_out, aborted) {
            self.gateway.record_later(event);
        }
    }
}

impl<P: Port> Drop for Meter<P> {
    fn drop(&mut self) {
        self.finish(0, true);
        self.gateway.recorder.ended();
    }
}

fn user_agent(inbound: &Inbound) -> String {
    let bytes = inbound.headers.get("user-agent").map_or(&b""[..], |value| value.as_bytes());
    let cut = &bytes[..bytes.len().min(USER_AGENT_BYTES_MAX)];
    String::from_utf8_lossy(cut).chars().filter(|character| !character.is_control()).collect()
}

/// So much fits into the buffers of any connection: whether it came across is not waited for.
const SMALL: u64 = 65_536;

/// An answer's body that counts what of it the client's kernel acknowledged, and records that when it is known.
pub(crate) struct MeteredBody<P: Port> {
    inner: s3::Body,
    sent: u64,
    left: Option<u64>,
    ended: bool,
    receipt: Option<Receipt>,
    meter: Option<Meter<P>>,
}

impl<P: Port> MeteredBody<P> {
    /// Wraps the body of an answer; `meter` must already know the status.
    pub(crate) fn new(inner: s3::Body, meter: Meter<P>, receipt: Option<Receipt>) -> Self {
        let left = inner.size_hint().exact();
        Self { inner, sent: 0, left, ended: false, receipt, meter: Some(meter) }
    }
}

impl<P: Port> Body for MeteredBody<P> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let size = data.len() as u64;
                    this.sent += size;
                    this.left = this.left.map(|left| left.saturating_sub(size));
                }
            }
            Some(Err(error)) => tracing::warn!(%error, "answer of the upstream broke off"),
            None => this.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<P: Port> Drop for MeteredBody<P> {
    fn drop(&mut self) {
        // The server stops polling once Content-Length is reached, so the end may never be seen.
        let complete = self.ended || self.left == Some(0) || self.inner.is_end_stream();
        let (Some(mut meter), sent) = (self.meter.take(), self.sent) else { return };
        match self.receipt.take() {
            Some(receipt) if sent > SMALL => {
                receipt.when_known(sent, move |received| meter.finish(received, !complete || received < sent));
            }
            _ => meter.finish(sent, !complete),
        }
    }
}
