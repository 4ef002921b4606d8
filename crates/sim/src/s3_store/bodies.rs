//! Bodies in and out: received into a file or a small buffer and checked, sent from memory or a file.
//!
//! It never trusts a length or a hash that it did not count itself.

use super::Shared;
use super::call::Call;
use super::files::{Spooled, StoredFile};
use super::refusal::Refusal;
use super::signature::Payload;
use super::xml::Xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

const OBJECT_BYTES_MAX: u64 = 5 << 30;
const DOCUMENT_BYTES_MAX: u64 = 2 << 20;
const DRAINED_BYTES_MAX: usize = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
const CHUNK_BYTES: usize = 64 * 1024;

/// What an answer carries.
pub(super) enum StoreBody {
    /// A document, or nothing.
    Memory(Bytes),
    /// Bytes of an object.
    File(Box<FileBody>),
}

/// A stretch of a file.
pub(super) struct FileBody {
    file: File,
    buffer: Vec<u8>,
    left_bytes: u64,
    cut_after_bytes: Option<u64>,
    is_cut_due: bool,
    _kept: Arc<StoredFile>,
}

impl FileBody {
    /// Sends `count` bytes from `start`; breaks off after `cut_after_bytes` when given.
    pub(super) async fn open(
        kept: Arc<StoredFile>,
        start: u64,
        count: u64,
        cut_after_bytes: Option<u64>,
    ) -> io::Result<Self> {
        let file = kept.open_at(start).await?;
        Ok(Self {
            file,
            buffer: vec![0_u8; CHUNK_BYTES],
            left_bytes: count,
            cut_after_bytes,
            is_cut_due: false,
            _kept: kept,
        })
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        let allowed = self.cut_after_bytes.unwrap_or(u64::MAX);
        if allowed == 0 && !self.is_cut_due {
            self.is_cut_due = true;
            cx.waker().wake_by_ref(); // One round for the connection to send what it has.
            return Poll::Pending;
        }
        if allowed == 0 {
            return Poll::Ready(Some(Err(io::Error::other("cut by order of a test"))));
        }
        let wanted = usize::try_from(self.left_bytes.min(allowed)).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut target = ReadBuf::new(&mut self.buffer[..wanted]);
        let polled = Pin::new(&mut self.file).poll_read(cx, &mut target);
        let read = target.filled().len();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) if read == 0 => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Ready(Ok(())) => {
                self.left_bytes -= read as u64;
                self.cut_after_bytes = self.cut_after_bytes.map(|left| left - read as u64);
                Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&self.buffer[..read])))))
            }
        }
    }
}

impl Body for StoreBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File(body) => body.poll_chunk(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Memory(bytes) => bytes.is_empty(),
            Self::File(body) => body.left_bytes == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(body) => SizeHint::with_exact(body.left_bytes),
        }
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<StoreBody> {
    let mut response = Response::new(StoreBody::Memory(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A 200 with a document.
pub(super) fn document(xml: Xml) -> Response<StoreBody> {
    let mut response = Response::new(StoreBody::Memory(Bytes::from(xml.finish())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Receives the body into a file and checks its length and hashes.
///
/// # Errors
/// `MissingContentLength`, `EntityTooLarge`, `IncompleteBody`, `XAmzContentSHA256Mismatch`,
/// `BadDigest`, `InvalidDigest`; none of them leaves a file.
pub(super) async fn receive(shared: &Shared, call: &Call<'_>, body: &mut Incoming) -> Result<Spooled, Refusal> {
    let length = announced_length(call.headers, OBJECT_BYTES_MAX)?;
    let mut spool = shared.spool().await?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::incomplete_body())?;
        if let Ok(chunk) = frame.into_data() {
            spool.write(&chunk).await?;
        }
    }
    let spooled = spool.finish().await?;
    if spooled.size_bytes != length {
        return Err(Refusal::incomplete_body());
    }
    check_hashes(call, &spooled.sha256, &spooled.md5)?;
    Ok(spooled)
}

/// Receives a document of at most 2 MiB into memory and checks it like [`receive`].
pub(super) async fn receive_document(call: &Call<'_>, body: &mut Incoming) -> Result<Vec<u8>, Refusal> {
    let length = announced_length(call.headers, DOCUMENT_BYTES_MAX)?;
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::incomplete_body())?;
        if let Ok(chunk) = frame.into_data() {
            bytes.extend_from_slice(&chunk);
        }
    }
    if bytes.len() as u64 != length {
        return Err(Refusal::incomplete_body());
    }
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    let md5: [u8; 16] = Md5::digest(&bytes).into();
    check_hashes(call, &sha256, &md5)?;
    Ok(bytes)
}

/// Reads what a refused request still sends, so that its sender gets to see the refusal. Bounded in
/// bytes and time; a sender that waits for `100 Continue` is spared.
pub(super) async fn drain(headers: &HeaderMap, body: &mut Incoming) {
    if headers.contains_key(EXPECT) || body.is_end_stream() {
        return;
    }
    let reading = async {
        let mut left = DRAINED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    if tokio::time::timeout(DRAIN_TIME_MAX, reading).await.is_err() {
        tracing::debug!("s3 store gave up on the rest of a refused request");
    }
}

fn announced_length(headers: &HeaderMap, bytes_max: u64) -> Result<u64, Refusal> {
    let text = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = text.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| {
        let message = "You must provide the Content-Length HTTP header.";
        Refusal::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message)
    })?;
    if length > bytes_max {
        let message = "Your proposed upload exceeds the maximum allowed size";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
            .with("ProposedSize", &length.to_string())
            .with("MaxSizeAllowed", &bytes_max.to_string()));
    }
    Ok(length)
}

fn check_hashes(call: &Call<'_>, sha256: &[u8; 32], md5: &[u8; 16]) -> Result<(), Refusal> {
    if let Payload::Sha256(announced) = &call.payload {
        let computed = hex::encode(sha256);
        if !announced.eq_ignore_ascii_case(&computed) {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
                .with("ClientComputedContentSHA256", announced)
                .with("S3ComputedContentSHA256", &computed));
        }
    }
    let Some(announced) = call.header("content-md5") else { return Ok(()) };
    let announced = STANDARD.decode(announced).unwrap_or_default();
    if announced.len() != md5.len() {
        let message = "The Content-MD5 you specified was invalid.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidDigest", message));
    }
    if announced != md5 {
        let message = "The Content-MD5 you specified did not match what we received.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "BadDigest", message));
    }
    Ok(())
}
