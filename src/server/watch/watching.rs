//! One watch, step by step: what to send next.
//!
//! A step never waits. The stream takes one when the mailbox names the watch, sends what it gives, and comes back when it is named again.

use std::sync::Arc;

use bytes::Bytes;
use ringfence_core::{
    Change, Event, KeyView, Refusal, Revision, Span, limits,
    query::{Changes, Page, Range, Select, Stats},
};

use super::{
    Hub,
    feed::{Feed, change_bytes},
};

/// Bytes of events or keys after which a message ends, at the end of a revision or of a key. As much waits as its own copy for each
/// client that doesn't read, so that thousands of them cost no more than a few hundred mebibytes; larger messages are no faster.
pub const MESSAGE_BYTES: usize = 64 << 10;
/// Keys in one part of a snapshot.
const SNAPSHOT_KEYS: usize = 1000;

/// What to do next for a watch.
#[derive(Debug)]
pub enum Step {
    /// Nothing now; the mailbox will name the watch.
    Idle,
    /// Nothing of what was looked at is for this watch; the mailbox names it again.
    Again,
    /// A part of the present state.
    Snapshot {
        /// The revision of the state. A part with a higher one than the part before begins the snapshot anew.
        revision: Revision,
        /// In order.
        keys: Vec<KeyView>,
        /// The last part.
        complete: bool,
    },
    /// Whole revisions, oldest first, each with something for this watch; see [`Watching::select`].
    Events(Vec<Arc<Change>>),
    /// The watch is over.
    Over(End),
}

/// Why a watch can't go on. Revisions up to and with `compacted` are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It began in what was compacted away.
    Compacted {
        /// The newest revision that is gone.
        compacted: Revision,
    },
    /// It fell behind, and what it needed next was compacted away meanwhile.
    Slow {
        /// The newest revision that is gone.
        compacted: Revision,
    },
}

/// A part of the way through a snapshot.
struct Snapping {
    revision: Revision,
    /// The last key that was handed out.
    after: Option<Bytes>,
}

/// A watch in its stream's hands. Dropping it ends it.
pub struct Watching {
    hub: Arc<Hub>,
    pub(super) feed: Arc<Feed>,
    /// Asked for the present state first.
    snapshot: bool,
    /// Where the snapshot is, while it is not complete.
    snapping: Option<Snapping>,
    /// It has caught up or handed something out: if history is gone then, it was too slow.
    followed: bool,
}

impl Watching {
    pub(super) fn new(hub: Arc<Hub>, feed: Arc<Feed>, snapshot: bool) -> Self {
        let followed = feed.position().live;
        let mut watching = Self { hub, feed, snapshot, snapping: None, followed };
        if snapshot {
            watching.begin_snapshot();
        }
        watching
    }

    /// Everything below this revision was handed out by [`Watching::step`].
    pub fn next_revision(&self) -> Revision {
        match self.progress() {
            Some(done) => done + 1,
            None => self.feed.position().next,
        }
    }

    /// Everything that this watch wants up to this revision was handed out by [`Watching::step`]; `None` if there is nothing to say yet.
    pub fn progress(&self) -> Option<Revision> {
        match self.snapping {
            Some(_) => None,
            None => self.hub.progress(&self.feed),
        }
    }

    /// The events of a change that are for this watch, in order.
    pub fn select<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = &'a Event> {
        change.events.iter().filter(|event| self.feed.filter().passes(event))
    }

    /// The next step reads the state, in which much may be behind, and not only what was handed over.
    pub fn is_behind(&self) -> bool {
        self.snapping.is_some() || !self.feed.position().live
    }

    /// Takes the next step. Unless it gives [`Step::Idle`] or [`Step::Over`], the mailbox names the watch again.
    pub fn step(&mut self) -> Step {
        let step = match self.snapping.take() {
            Some(snapping) => self.snapshot_part(snapping),
            None => self.live().unwrap_or_else(|| self.history()),
        };
        match step {
            Step::Idle | Step::Over(_) => {}
            Step::Again | Step::Snapshot { .. } | Step::Events(_) => self.feed.ready(),
        }
        step
    }

    /// What waits in the buffer; `None` if the watch isn't live.
    fn live(&mut self) -> Option<Step> {
        let mut position = self.feed.position();
        if !position.live {
            return None;
        }
        let mut changes = Vec::new();
        let mut bytes = 0;
        while bytes < MESSAGE_BYTES {
            let Some(change) = position.waiting.pop_front() else {
                break;
            };
            let size = change_bytes(&change);
            bytes += size;
            position.bytes = position.bytes.saturating_sub(size);
            position.next = change.revision + 1;
            changes.push(change);
        }
        Some(if changes.is_empty() { Step::Idle } else { Step::Events(changes) })
    }

    fn history(&mut self) -> Step {
        let from = self.feed.position().next;
        match self.hub.replica.read(&Changes { from, bytes_max: MESSAGE_BYTES }) {
            Ok(changes) => match changes.last() {
                Some(last) => {
                    self.feed.position().next = last.revision + 1;
                    self.followed = true;
                    let mut own = changes;
                    own.retain(|change| self.select(change).next().is_some());
                    if own.is_empty() { Step::Again } else { Step::Events(own) }
                }
                None => self.caught_up(),
            },
            Err(Refusal::RevisionCompacted { compacted, .. }) => self.overtaken(compacted),
            // It begins in the future. Nothing else can be refused here.
            Err(_) => self.caught_up(),
        }
    }

    fn caught_up(&mut self) -> Step {
        self.followed = true;
        if self.hub.go_live(&self.feed) { Step::Idle } else { Step::Again }
    }

    fn overtaken(&mut self, compacted: Revision) -> Step {
        #[cfg(madsim)]
        ringfence_probes::hit(ringfence_probes::marks::WATCH_COMPACTED);
        if self.snapshot {
            self.begin_snapshot();
            return Step::Again;
        }
        Step::Over(if self.followed { End::Slow { compacted } } else { End::Compacted { compacted } })
    }

    fn begin_snapshot(&mut self) {
        let revision = self.hub.replica.read(&Stats).map_or(0, |stats| stats.revision);
        let mut position = self.feed.position();
        position.fall_back();
        position.next = revision + 1;
        drop(position);
        self.snapping = Some(Snapping { revision, after: None });
    }

    fn snapshot_part(&mut self, snapping: Snapping) -> Step {
        let Snapping { revision, after } = snapping;
        let span = match rest(self.feed.span(), after) {
            // Of revision 0, the empty state, there is nothing; a range would read the newest.
            Some(span) if revision > 0 => span,
            _ => {
                return Step::Snapshot { revision, keys: Vec::new(), complete: true };
            }
        };
        let range = Range {
            select: Select::Span(span),
            limit: SNAPSHOT_KEYS,
            keys_only: false,
            count_only: false,
            revision,
            descending: false,
        };
        match self.hub.replica.read(&Page { range, bytes_max: MESSAGE_BYTES }) {
            Ok(answer) => {
                let complete = !answer.more;
                if let Some(last) = answer.keys.last().filter(|_| !complete) {
                    self.snapping = Some(Snapping { revision, after: Some(last.key.clone()) });
                }
                Step::Snapshot { revision, keys: answer.keys, complete }
            }
            // Compacted away under the snapshot: from the beginning, with the newest state.
            Err(Refusal::RevisionCompacted { .. }) => {
                self.begin_snapshot();
                Step::Again
            }
            // The range was checked when the watch was made, so it has nothing in it.
            Err(_) => Step::Snapshot { revision, keys: Vec::new(), complete: true },
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hub.remove(&self.feed);
    }
}

/// The part of the span above this key; `None` if there is none.
fn rest(span: &Span, after: Option<Bytes>) -> Option<Span> {
    let Some(after) = after else {
        return Some(span.clone());
    };
    // Nothing can follow the longest key but what begins otherwise.
    let start: Bytes = if after.len() < limits::KEY_BYTES_MAX {
        [after.as_ref(), &[0]].concat().into()
    } else {
        end_of_prefix(&after)
    };
    let end = match span {
        Span::Key(_) => return None,
        Span::Between { end, .. } => end.clone(),
        Span::Prefix(prefix) => end_of_prefix(prefix),
    };
    (start < end).then_some(Span::Between { start, end })
}

/// A key above all that begin so.
fn end_of_prefix(prefix: &Bytes) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    // The prefix is empty or all of the highest byte: above the longest key of these.
    vec![u8::MAX; limits::KEY_BYTES_MAX].into()
}
