//! Long reads: of many keys, or with much in the answer. They have budgets of their own, so that a loop that reads everything holds
//! up neither renewals nor writes, and takes no more memory than it may.
//!
//! A read of many keys runs on a thread of its own instead of one that serves connections. A large answer counts until its
//! last byte was handed to the connection, or it was given up: see [`crate::serving`].

use std::sync::Arc;

use ringfence_core::{
    Refusal, Span,
    query::{LargerThan, Range, Select},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ReadError;
use crate::{limits::RETRY_AFTER_MS, replica::Replica};

/// A read that looks at more keys is a long one. So many take about a tenth of a millisecond.
const KEYS_MANY: usize = 1000;
/// Long reads that may wait for their turn: some seconds' worth of those of a million keys.
const WAITING_MAX: usize = 64;
/// Bytes from which on an answer is counted.
const LARGE_BYTES: usize = 64 << 10;
/// Bytes of all answers that are counted, at a time: twenty of the largest.
const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// The budgets of long reads. Clones share them.
#[derive(Clone)]
pub struct LongReads {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// What a large answer has of the budget, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Held {
    _bytes: Arc<OwnedSemaphorePermit>,
}

impl Default for LongReads {
    /// As many run at a time as leave half of the processors to everybody else.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            running: Arc::new(Semaphore::new((processors / 2).max(1))),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_BYTES_MAX)),
        }
    }
}

impl LongReads {
    /// This one is long.
    ///
    /// # Errors
    /// The refusal of a question that makes no sense.
    pub fn is_long(replica: &Replica, range: &Range) -> Result<bool, Refusal> {
        match &range.select {
            Select::Span(Span::Key(_)) => Ok(false),
            // At a former revision there is more to look at than the keys of now.
            _ if range.revision != 0 => Ok(true),
            select => replica.read(&LargerThan { select: select.clone(), keys: KEYS_MANY }),
        }
    }

    /// Runs a long read when its turn has come. Cancel safe; what runs already goes on to its end.
    ///
    /// # Errors
    /// [`ReadError::Overloaded`] if too many wait. [`ReadError::Stopping`] at the end of the runtime.
    pub async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, ReadError> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| OVERLOADED)?;
        let turn = self.running.clone().acquire_owned().await.map_err(|_| ReadError::Stopping)?;
        drop(place);
        let work = move || {
            let answer = read();
            drop(turn);
            answer
        };
        // In simulation there is no other thread.
        #[cfg(madsim)]
        return Ok(work());
        #[cfg(not(madsim))]
        tokio::task::spawn_blocking(work).await.map_err(|_| ReadError::Stopping)
    }

    /// Takes what an answer of so many bytes needs of the budget. `None`: it is small, and not counted.
    ///
    /// # Errors
    /// [`ReadError::Overloaded`] if there isn't as much left.
    pub fn hold(&self, bytes: usize) -> Result<Option<Held>, ReadError> {
        if bytes < LARGE_BYTES {
            return Ok(None);
        }
        let bytes = u32::try_from(bytes.min(ANSWERS_BYTES_MAX)).unwrap_or(u32::MAX);
        let permit = self.answers.clone().try_acquire_many_owned(bytes).map_err(|_| OVERLOADED)?;
        Ok(Some(Held { _bytes: Arc::new(permit) }))
    }
}

const OVERLOADED: ReadError = ReadError::Overloaded { retry_after_ms: RETRY_AFTER_MS };

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_reads_wait_for_their_turn_and_no_more_than_there_is_room_for() {
        let long = LongReads { running: Arc::new(Semaphore::new(1)), ..LongReads::default() };
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let first = long.clone();
        let first = tokio::spawn(async move { first.run(move || gate.recv().is_ok()).await });
        while long.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|number| {
                let long = long.clone();
                tokio::spawn(async move { long.run(move || number).await })
            })
            .collect();
        while long.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(long.run(|| 0).await, Err(OVERLOADED));
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await.unwrap(), Ok(number));
        }
        assert_eq!(long.run(|| 7).await, Ok(7));
    }

    #[test]
    fn large_answers_are_counted_until_they_are_gone() {
        let long = LongReads::default();
        assert!(long.hold(LARGE_BYTES - 1).unwrap().is_none());
        let held = long.hold(ANSWERS_BYTES_MAX - LARGE_BYTES).unwrap().unwrap();
        let last = long.hold(LARGE_BYTES).unwrap();
        assert_eq!(long.hold(LARGE_BYTES).unwrap_err(), OVERLOADED);
        assert!(long.hold(1).unwrap().is_none());
        drop(last);
        assert!(long.hold(LARGE_BYTES).unwrap().is_some());
        let other = held.clone();
        drop(held);
        assert!(long.hold(3 * LARGE_BYTES).is_err());
        drop(other);
        assert!(long.hold(3 * LARGE_BYTES).unwrap().is_some());
    }
}
