//! What can be read: each question is a type with its answer, so that the one door [`crate::State::read`] stays typed.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Revision, SessionId, Span, Token};
use crate::outcome::{Change, ClaimView, KeyView};
use crate::refusal::Refusal;
use crate::state::State;

/// A question to the state.
pub trait Query {
    /// What it is answered.
    type Answer;
    /// Answers it. Called by [`State::read`] alone.
    ///
    /// # Errors
    /// A [`Refusal`] where the question can't be answered: bad range, compacted or future revision, unknown session.
    fn answer(&self, state: &State) -> Result<Self::Answer, Refusal>;
}

/// Reads keys in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub select: Select,
    /// Most entries, 1 to [`crate::limits::RANGE_ENTRIES_MAX`].
    pub limit: usize,
    /// Leave values out.
    pub keys_only: bool,
    /// Only count.
    pub count_only: bool,
    /// As of this revision; 0 for the newest.
    pub revision: Revision,
    /// Greatest key first.
    pub descending: bool,
}

/// Which keys a range reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// A set of keys.
    Span(Span),
    /// The direct children of a path; deeper keys give one entry for the child, without a value.
    Children(Bytes),
}

/// As [`Range`], one page of it: `count` is that of this page, and one more if there are more. So it costs what it gives,
/// however much is behind it.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is read.
    pub range: Range,
    /// Bytes of keys and values, unless a single entry has more. At most [`crate::limits::RANGE_BYTES_MAX`].
    pub bytes_max: usize,
}

/// Whether there are more keys than so many, now. Costs no more than looking at so many; of children, those below them count,
/// too.
#[derive(Clone, Debug)]
pub struct LargerThan {
    /// Which keys.
    pub select: Select,
    /// How many.
    pub keys: usize,
}

/// Answers [`Range`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RangeAnswer {
    /// The entries.
    pub keys: Vec<KeyView>,
    /// There are more.
    pub more: bool,
    /// Keys in the whole selection.
    pub count: u64,
}

/// All versions of one key, newest first, up to [`crate::limits::RANGE_BYTES_MAX`] bytes. Answer: [`HistoryAnswer`].
#[derive(Clone, Debug)]
pub struct KeyHistory {
    /// The key.
    pub key: Bytes,
    /// Most versions.
    pub limit: usize,
}

/// Answers [`KeyHistory`].
#[derive(Clone, Debug, Default)]
pub struct HistoryAnswer {
    /// Newest first; the flag says that the key was deleted then.
    pub versions: Vec<(KeyView, bool)>,
    /// There are more.
    pub more: bool,
}

/// One session. Refused with [`Refusal::SessionUnknown`].
#[derive(Clone, Copy, Debug)]
pub struct Session(pub SessionId);

/// Sessions with ids above `after`, in order.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// 0 from the beginning.
    pub after: u64,
    /// Most sessions.
    pub limit: usize,
}

/// A session, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// For people.
    pub owner: String,
    /// Its TTL.
    pub ttl_ms: u64,
    /// Time to its deadline by the state's clock.
    pub remaining_ms: u64,
    /// Leader's wall clock at opening.
    pub opened_wall_ms: u64,
    /// Keys bound to it, in order.
    pub keys: Vec<Bytes>,
}

/// A queue's owners and waiters. Refused with [`Refusal::InvalidName`] or [`Refusal::LimitExceeded`] where the name can't be one.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: Bytes,
    /// Most owners in the answer, and most waiters: a shared lock has as many owners as there are readers.
    pub limit: usize,
}

/// Answers [`Queue`]. Empty if nobody claims the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueAnswer {
    /// Oldest first, as many as the limit lets through.
    pub owners: Vec<ClaimView>,
    /// In the order in which they will be granted, as many as the limit lets through.
    pub waiters: Vec<ClaimView>,
    /// All owners.
    pub owning: u64,
    /// All waiters.
    pub waiting: u64,
}

/// Names with a queue, in order.
#[derive(Clone, Debug)]
pub struct Queues {
    /// Only names that begin so.
    pub prefix: Bytes,
    /// Only names above this; empty from the beginning.
    pub after: Bytes,
    /// Most names.
    pub limit: usize,
}

/// One queue in the answer of [`Queues`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSummary {
    /// Its name.
    pub name: Bytes,
    /// The oldest owner.
    pub owner: ClaimView,
    /// How many owners.
    pub owners: u64,
    /// How many wait.
    pub waiting: u64,
}

/// Is this token a current owner? Answer: [`OwnerAnswer`]. Refused as [`Queue`] where the name can't be one.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Name of the queue.
    pub name: Bytes,
    /// The token.
    pub token: Token,
}

/// Answers [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerAnswer {
    /// The token is an owner.
    pub owner: bool,
    /// The highest token among the owners, 0 if there are none.
    pub current: Token,
}

/// One claim by its key. Answer: `Option<ClaimView>`.
#[derive(Clone, Debug)]
pub struct ClaimByKey {
    /// As in [`ClaimView::key`].
    pub key: Bytes,
}

/// Changes from a revision on, whole revisions, oldest first. Answer: `Vec<Arc<Change>>`.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// The first one wanted, at least 1. Refused with [`Refusal::RevisionCompacted`] if it is gone. One above the newest
    /// gives an empty answer.
    pub from: Revision,
    /// Stop after the change with which the keys' and values' bytes pass this.
    pub bytes_max: usize,
}

/// The type of the answer of [`Changes`].
pub type ChangesAnswer = Vec<Arc<Change>>;

/// Figures about the state. Answer: [`StatsAnswer`].
#[derive(Clone, Copy, Debug)]
pub struct Stats;

/// Answers [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsAnswer {
    /// The newest revision.
    pub revision: Revision,
    /// Changes up to here are gone; versions older than the newest at it, too.
    pub compacted: Revision,
    /// The state's clock in milliseconds.
    pub clock_ms: u64,
    /// The earliest deadline of a session, if there is one.
    pub next_deadline_ms: Option<u64>,
    /// The smallest TTL among the sessions.
    pub ttl_min_ms: Option<u64>,
    /// Live keys, claims included.
    pub keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// Queues.
    pub queues: u64,
    /// Bytes of keys and values, all versions.
    pub bytes: u64,
    /// Running hash over everything applied.
    pub hash: u64,
    /// The cluster's [level](crate::levels).
    pub level: u32,
}
