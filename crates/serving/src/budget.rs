//! A budget for all request bodies together: what is read takes from it, and gives back when its request is over.

use crate::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body waits so long for others to be done with theirs.
const WAIT: Duration = Duration::from_secs(10);

/// What is left of the budget.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

/// A body that found no room in time.
#[derive(Debug, thiserror::Error)]
#[error("too many large requests are being read at this moment")]
pub struct Exhausted;

impl Budget {
    /// So many bytes at once.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Bytes that may be read now.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.available_permits()
    }

    /// A body that takes from the budget what it hands on. Whatever it took is given back when the value beside it is
    /// dropped, which goes with the request's answer.
    pub fn meter<B>(&self, body: B) -> (Metered<B>, Taken) {
        let taken = Taken::default();
        (Metered { inner: body, budget: self.clone(), taken: taken.clone(), held: None, waiting: None }, taken)
    }
}

/// What one request has taken.
#[derive(Clone, Default)]
pub struct Taken(Arc<std::sync::Mutex<Vec<OwnedSemaphorePermit>>>);

type Waiting = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// A body that takes from the budget.
pub struct Metered<B> {
    inner: B,
    budget: Budget,
    taken: Taken,
    /// A frame for which there was no room yet.
    held: Option<Bytes>,
    waiting: Option<Waiting>,
}

async fn take(budget: Budget, bytes: u32) -> Option<OwnedSemaphorePermit> {
    tokio::time::timeout(WAIT, budget.0.acquire_many_owned(bytes)).await.ok()?.ok()
}

impl<B: Body<Data = Bytes> + Unpin> Body for Metered<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.held.is_none() {
            let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(data) => this.held = Some(data),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let length = this.held.as_ref().map_or(0, Bytes::len);
        let wanted = u32::try_from(length).unwrap_or(u32::MAX);
        let budget = this.budget.clone();
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(take(budget, wanted)));
        let permit = ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        let Some(permit) = permit else { return Poll::Ready(Some(Err(Exhausted.into()))) };
        if let Ok(mut taken) = this.taken.0.lock() {
            taken.push(permit);
        }
        Poll::Ready(this.held.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn what_is_read_comes_back_with_the_answer() {
        let budget = Budget::of(10);
        let (body, taken) = budget.meter(Full::new(Bytes::from_static(b"12345678")));
        let whole = body.collect().await.unwrap().to_bytes();
        assert_eq!((whole.len(), budget.left()), (8, 2));
        drop(taken);
        assert_eq!(budget.left(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_in_time_is_refused() {
        let budget = Budget::of(10);
        let (first, taken) = budget.meter(Full::new(Bytes::from_static(b"12345678")));
        first.collect().await.unwrap();
        let (second, _) = budget.meter(Full::new(Bytes::from_static(b"12345")));
        let error = second.collect().await.unwrap_err();
        assert!(error.downcast_ref::<Exhausted>().is_some(), "{error}");
        drop(taken);
        let (third, _) = budget.meter(Full::new(Bytes::from_static(b"12345")));
        assert!(third.collect().await.is_ok());
    }
}
