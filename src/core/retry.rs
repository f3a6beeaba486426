//! What a session remembers of its last writes, so that a retry gets the first answer again and changes nothing.
//!
//! Invariants:
//!
//! - The remembered numbers are within the last [`RETRY_REPLIES_MAX`] up to the highest one used. Below that window
//!   nothing is remembered and nothing is taken: what could have been done before is never done twice.
//! - Within the window a number that isn't remembered was never used.

use std::sync::Arc;

use imbl::OrdMap;

use crate::limits::RETRY_REPLIES_MAX;
use crate::outcome::Reply;
use crate::refusal::Refusal;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retries {
    /// The highest sequence number used, 0 for none.
    pub highest: u64,
    replies: OrdMap<u64, First>,
}

/// The first answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct First {
    /// Hash of the command.
    pub command: u64,
    pub result: Arc<Result<Reply, Refusal>>,
}

impl Retries {
    /// Nothing remembered, for replies to be put back.
    pub fn up_to(highest: u64) -> Self {
        Self { highest, ..Self::default() }
    }

    /// The first answer, if this is a retry.
    ///
    /// # Errors
    /// [`Refusal::SequenceReused`], [`Refusal::SequenceTooOld`], and [`Refusal::InvalidArgument`] for 0.
    pub fn recall(&self, sequence: u64, command: u64) -> Result<Option<&First>, Refusal> {
        if sequence == 0 {
            return Err(Refusal::InvalidArgument("sequence numbers begin at 1".to_owned()));
        }
        match self.replies.get(&sequence) {
            Some(first) if first.command == command => Ok(Some(first)),
            Some(_) => Err(Refusal::SequenceReused { sequence }),
            None if sequence < self.oldest() => Err(Refusal::SequenceTooOld { sequence, oldest: self.oldest() }),
            None => Ok(None),
        }
    }

    /// Remembers an answer, and forgets what is now too old.
    pub fn remember(&mut self, sequence: u64, first: First) {
        debug_assert!(sequence >= self.oldest() && sequence > 0, "recall would have refused it");
        self.highest = self.highest.max(sequence);
        self.replies.insert(sequence, first);
        let oldest = self.oldest();
        while let Some((gone, _)) = self.replies.get_min().filter(|(sequence, _)| *sequence < oldest) {
            let gone = *gone;
            self.replies.remove(&gone);
        }
    }

    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &First)> + Send + '_ {
        self.replies.iter().map(|(sequence, first)| (*sequence, first))
    }

    /// Puts a remembered answer of a snapshot back.
    ///
    /// # Errors
    /// It can't have been remembered.
    pub fn restore(&mut self, sequence: u64, first: First) -> Result<(), String> {
        if sequence == 0 || sequence < self.oldest() || sequence > self.highest {
            return Err(format!("sequence {sequence} is outside of what a highest one of {} remembers", self.highest));
        }
        match self.replies.insert(sequence, first) {
            Some(_) => Err(format!("sequence {sequence} is remembered twice")),
            None => Ok(()),
        }
    }

    fn oldest(&self) -> u64 {
        self.highest.saturating_sub(RETRY_REPLIES_MAX as u64 - 1).max(1)
    }
}
