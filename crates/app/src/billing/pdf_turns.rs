//! Who has a PDF made: two at once. One of some thousand lines takes a processor and a few hundred MiB.

use crate::failure::{Failure, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// PDFs that are made at once.
const AT_ONCE: usize = 2;
/// Seconds that somebody waits for a turn.
const WAIT_S: u32 = 20;

/// The turns.
pub(crate) struct PdfTurns(Arc<Semaphore>);

impl Default for PdfTurns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl PdfTurns {
    /// Waits for a turn; it ends with the value.
    ///
    /// # Errors
    /// [`Kind::Busy`] when none comes in time.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let busy = || Failure::new(Kind::Busy, "many PDFs are being made at this moment; try again").waiting(WAIT_S);
        let turn = tokio::time::timeout(Duration::from_secs(WAIT_S.into()), self.0.clone().acquire_owned());
        turn.await.map_err(|_| busy())?.map_err(|_| busy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_are_made_and_a_third_waits_in_vain() {
        let turns = PdfTurns::default();
        let (first, _second) = (turns.take().await.unwrap(), turns.take().await.unwrap());
        assert_eq!(turns.take().await.unwrap_err().kind, Kind::Busy);
        drop(first);
        assert!(turns.take().await.is_ok());
    }
}
