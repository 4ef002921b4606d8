//! A request body on its way to an upstream: decoded, verified, counted, and held back.
//!
//! The last frame leaves only after every hash, signature, trailer, checksum and length was right. The
//! upstream was told the exact length, so on any failure its connection drops short of it and no object
//! comes to be.

use crate::gateway::Fault;
use crate::meter::Counters;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3::{BoxError, PayloadDecoder, S3Error};
use serving::idle::{IdleBody, Silence};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// How an upload went, shared between its body and the handler.
#[derive(Default)]
pub(crate) struct UploadState {
    fault: Mutex<Option<Fault>>,
    verified: AtomicBool,
    /// Frames that the upstream took.
    handed: AtomicU64,
    waits_for_client: AtomicBool,
    over: AtomicBool,
}

impl UploadState {
    /// Takes what went wrong on the client's side, if anything.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells whether the whole body came and was right.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    /// How many frames the upstream took.
    pub(crate) fn handed(&self) -> u64 {
        self.handed.load(Ordering::Acquire)
    }

    /// Tells whether the next frame is still to come from the client.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Ordering::Acquire)
    }

    /// Tells whether the upstream took everything.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn fail(&self, fault: Fault) -> BoxError {
        let text = fault.to_string();
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        text.into()
    }
}

/// The verified body of an upload.
pub(crate) struct UploadBody {
    inner: Incoming,
    silence: Silence,
    decoder: PayloadDecoder,
    ready: VecDeque<Bytes>,
    left: u64,
    ended: bool,
    counters: Arc<Counters>,
    state: Arc<UploadState>,
}

impl UploadBody {
    /// Wraps the client's body; `length` is what the upstream was told.
    pub(crate) fn new(
        inner: Incoming,
        silence: Silence,
        decoder: PayloadDecoder,
        length: u64,
        counters: Arc<Counters>,
        state: Arc<UploadState>,
    ) -> Self {
        Self { inner, silence, decoder, ready: VecDeque::new(), left: length, ended: false, counters, state }
    }

    fn take_frame(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Result<(), BoxError> {
        match frame {
            Some(Ok(frame)) => {
                // Trailers of the transfer coding carry nothing in S3.
                let Ok(data) = frame.into_data() else { return Ok(()) };
                feed(&mut self.decoder, data, &mut self.ready, &self.counters)
                    .map_err(|error| self.state.fail(Fault::Refused(error)))
            }
            Some(Err(_)) => Err(self.state.fail(Fault::ClientGone)),
            None => {
                self.decoder.finish().map_err(|error| self.state.fail(Fault::Refused(error)))?;
                self.ended = true;
                self.state.verified.store(true, Ordering::Release);
                Ok(())
            }
        }
    }
}

fn feed(
    decoder: &mut PayloadDecoder,
    data: Bytes,
    out: &mut VecDeque<Bytes>,
    counters: &Counters,
) -> Result<(), S3Error> {
    counters.wire_in.fetch_add(data.len() as u64, Ordering::Relaxed);
    let fed = decoder.feed(data, out);
    counters.object_in.store(decoder.decoded_bytes(), Ordering::Relaxed);
    fed
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if this.ready.len() > 1 || this.ended {
                let Some(bytes) = this.ready.pop_front() else { return Poll::Ready(None) };
                this.state.over.store(this.ended && this.ready.is_empty(), Ordering::Release);
                this.state.handed.fetch_add(1, Ordering::AcqRel);
                this.left = this.left.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
                this.state.waits_for_client.store(true, Ordering::Release);
                ready!(this.silence.poll_over(cx));
                return Poll::Ready(Some(Err(this.state.fail(Fault::ClientSilent))));
            };
            this.silence.broken();
            this.state.waits_for_client.store(false, Ordering::Release);
            if let Err(error) = this.take_frame(frame) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Reads and verifies a whole small body, of at most `bytes_max` bytes.
pub(crate) async fn collect(
    mut inner: IdleBody<Incoming>,
    mut decoder: PayloadDecoder,
    bytes_max: u64,
    counters: &Counters,
) -> Result<Bytes, Fault> {
    let mut ready: VecDeque<Bytes> = VecDeque::new();
    let mut whole = Vec::new();
    while let Some(frame) = inner.frame().await {
        // An error of the connection, or none and a silence.
        let frame =
            frame.map_err(|error| if error.is::<hyper::Error>() { Fault::ClientGone } else { Fault::ClientSilent })?;
        if let Ok(data) = frame.into_data() {
            feed(&mut decoder, data, &mut ready, counters)?;
        }
        // Copied at once: a small piece would hold the whole buffer that it was read into.
        for piece in ready.drain(..) {
            whole.extend_from_slice(&piece);
        }
        if decoder.decoded_bytes() > bytes_max {
            return Err(S3Error::entity_too_large().with("MaxSizeAllowed", bytes_max.to_string()).into());
        }
    }
    decoder.finish()?;
    Ok(Bytes::from(whole))
}
