//! What a session remembers of its last writes, so that a retry gets the first answer again and changes nothing.
//!
//! Invariants:
//!
//! - The remembered numbers are within the last [`RETRY_REPLIES_MAX`] up to the highest one used. Below that window
//!   nothing is remembered and nothing is taken: what could have been done before is never done twice.
//! - Within the window a number that isn't remembered was never used.
//! - The replies have at most [`RETRY_BYTES_MAX`] bytes. To stay below it a reply is given up, and its number is remembered with
//!   [`Refusal::ReplyNotKept`] in its place: the number itself never goes, so that a retry is never done twice.

use std::sync::Arc;

use imbl::OrdMap;

use crate::limits::{RETRY_BYTES_MAX, RETRY_REPLIES_MAX, RETRY_REPLY_BYTES_SMALL};
use crate::outcome::{ClaimView, KeyView, OpReply, Reply};
use crate::refusal::Refusal;

/// What a part of a reply counts beside its keys and values.
const PART_BYTES: usize = 128;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retries {
    /// The highest sequence number used, 0 for none.
    pub highest: u64,
    replies: OrdMap<u64, First>,
    /// Of all replies.
    bytes: usize,
}

/// The first answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct First {
    /// Hash of the command.
    pub command: u64,
    pub result: Arc<Result<Reply, Refusal>>,
}

impl First {
    /// Refusals don't count: they are small, and what they say can't be said shorter.
    fn bytes(&self) -> usize {
        self.result.as_ref().as_ref().map_or(0, reply_bytes)
    }
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

    /// Remembers an answer, forgets what is now too old, and gives replies up that are too large.
    pub fn remember(&mut self, sequence: u64, first: First) {
        debug_assert!(sequence >= self.oldest() && sequence > 0, "recall would have refused it");
        self.highest = self.highest.max(sequence);
        self.insert(sequence, first);
        let oldest = self.oldest();
        while let Some((gone, _)) = self.replies.get_min().filter(|(sequence, _)| *sequence < oldest) {
            let gone = *gone;
            self.remove(gone);
        }
        self.make_room(sequence);
    }

    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &First)> + Send + '_ {
        self.replies.iter().map(|(sequence, first)| (*sequence, first))
    }

    /// Puts a remembered answer of a snapshot back. Snapshots from before there was a bound may hold too much.
    ///
    /// # Errors
    /// It can't have been remembered.
    pub fn restore(&mut self, sequence: u64, first: First) -> Result<(), String> {
        if sequence == 0 || sequence < self.oldest() || sequence > self.highest {
            return Err(format!("sequence {sequence} is outside of what a highest one of {} remembers", self.highest));
        }
        if self.replies.contains_key(&sequence) {
            return Err(format!("sequence {sequence} is remembered twice"));
        }
        self.insert(sequence, first);
        self.make_room(sequence);
        Ok(())
    }

    /// Checks the invariants of the module.
    ///
    /// # Errors
    /// Which one is broken.
    pub fn verify(&self) -> Result<(), String> {
        let bytes: usize = self.replies.values().map(First::bytes).sum();
        if bytes != self.bytes || bytes > RETRY_BYTES_MAX {
            return Err(format!("replies have {bytes} bytes, counted as {}, of {RETRY_BYTES_MAX}", self.bytes));
        }
        let known = |sequence: &u64| (self.oldest()..=self.highest).contains(sequence);
        match self.replies.keys().find(|sequence| !known(sequence)) {
            Some(sequence) => Err(format!("sequence {sequence} is remembered, and the highest is {}", self.highest)),
            None => Ok(()),
        }
    }

    fn insert(&mut self, sequence: u64, first: First) {
        self.bytes += first.bytes();
        if let Some(before) = self.replies.insert(sequence, first) {
            self.bytes -= before.bytes();
        }
    }

    fn remove(&mut self, sequence: u64) {
        if let Some(gone) = self.replies.remove(&sequence) {
            self.bytes -= gone.bytes();
        }
    }

    /// Gives up the newest reply, if it alone is too large, or else as many of the oldest large ones as it takes.
    fn make_room(&mut self, newest: u64) {
        if self.bytes <= RETRY_BYTES_MAX {
            return;
        }
        if self.replies.get(&newest).is_some_and(|first| first.bytes() > RETRY_BYTES_MAX) {
            self.give_up(newest);
        }
        let large = self.iter().filter(|(_, first)| first.bytes() > RETRY_REPLY_BYTES_SMALL);
        let mut large: Vec<u64> = large.map(|(sequence, _)| sequence).collect();
        // The newest is the one that is asked for again most likely, whatever its number.
        large.sort_by_key(|sequence| (*sequence == newest, *sequence));
        for sequence in large {
            if self.bytes <= RETRY_BYTES_MAX {
                return;
            }
            self.give_up(sequence);
        }
    }

    fn give_up(&mut self, sequence: u64) {
        let Some(First { command, result }) = self.replies.get(&sequence).cloned() else { return };
        if let Ok(reply) = result.as_ref() {
            let result = Arc::new(Err(not_kept(reply)));
            self.insert(sequence, First { command, result });
        }
    }

    fn oldest(&self) -> u64 {
        self.highest.saturating_sub(RETRY_REPLIES_MAX as u64 - 1).max(1)
    }
}

/// What stays of a reply that is given up.
fn not_kept(reply: &Reply) -> Refusal {
    let (revision, succeeded) = match reply {
        Reply::Txn(reply) => (reply.revision, reply.succeeded),
        Reply::Claimed(view) => (view.mod_revision, true),
        _ => (0, true),
    };
    Refusal::ReplyNotKept { revision, succeeded }
}

/// What a reply counts. The same on every machine, so nothing of how it lies in memory is in it.
fn reply_bytes(reply: &Reply) -> usize {
    PART_BYTES
        + match reply {
            Reply::Txn(reply) => reply.results.iter().map(op_bytes).sum(),
            Reply::SessionsRenewed(ttls) => ttls.len() * 16,
            Reply::Claimed(view) | Reply::Released(view) => claim_bytes(view),
            Reply::Compacted
            | Reply::SessionOpened { .. }
            | Reply::SessionClosed { .. }
            | Reply::Proclaimed
            | Reply::LevelRaised { .. } => 0,
        }
}

fn op_bytes(reply: &OpReply) -> usize {
    PART_BYTES
        + match reply {
            OpReply::Put { key, prev } => key.len() + prev.as_ref().map_or(0, key_bytes),
            OpReply::Delete { prev, .. } => prev.iter().map(key_bytes).sum(),
            OpReply::Range(answer) => answer.keys.iter().map(key_bytes).sum(),
        }
}

fn key_bytes(view: &KeyView) -> usize {
    PART_BYTES + view.key.len() + view.value.len()
}

fn claim_bytes(view: &ClaimView) -> usize {
    PART_BYTES + view.key.len() + view.value.len() + view.session_owner.len()
}
