//! Watches: committed changes, each once and in order.

use std::time::Duration;

use crate::error::Result;
use crate::kv::Select;
use crate::txn::copy;
use crate::types::{Event, KeyValue, Revision};

/// What to watch, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    pub(crate) select: Select,
    pub(crate) start: Revision,
    pub(crate) snapshot: bool,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
    pub(crate) prev: bool,
    pub(crate) progress: Option<Duration>,
}

impl WatchOptions {
    fn new(select: Select) -> Self {
        Self {
            select,
            start: 0,
            snapshot: false,
            no_put: false,
            no_delete: false,
            prev: false,
            progress: None,
        }
    }

    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::new(Select::Key(copy(key)))
    }

    /// All keys from `start` on and below `end`.
    pub fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self::new(Select::Range {
            start: copy(start),
            end: copy(end),
        })
    }

    /// All keys that begin so; empty: all keys.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::new(Select::Prefix(copy(prefix)))
    }

    /// From this revision on, past ones included; 0, the default, from the next change on.
    pub fn from_revision(mut self, revision: Revision) -> Self {
        self.start = revision;
        self
    }

    /// First the present state, then its changes. Not together with [`WatchOptions::from_revision`].
    pub fn snapshot(mut self) -> Self {
        self.snapshot = true;
        self
    }

    /// Leaves puts out.
    pub fn no_put(mut self) -> Self {
        self.no_put = true;
        self
    }

    /// Leaves deletions out.
    pub fn no_delete(mut self) -> Self {
        self.no_delete = true;
        self
    }

    /// With each event the version before it, where history still has it.
    pub fn prev(mut self) -> Self {
        self.prev = true;
        self
    }

    /// Gives [`WatchItem::Progress`] at least this often while nothing happens, 100 ms to an hour. Without it none are
    /// given (the watcher itself asks for them, to resume from).
    pub fn progress(mut self, interval: Duration) -> Self {
        self.progress = Some(interval);
        self
    }
}

/// What a watcher gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchItem {
    /// A part of the present state.
    Snapshot {
        /// The first part: forget whatever came before. Parts start over if the connection broke amid a snapshot.
        first: bool,
        /// The last part.
        complete: bool,
        /// The revision of the state; the same for all its parts. Events follow from the next one on.
        revision: Revision,
        /// In order of their keys.
        kvs: Vec<KeyValue>,
    },
    /// All events of one or several whole revisions, oldest first.
    Events(Vec<Event>),
    /// All up to this revision was given.
    Progress(Revision),
}

/// A stream of changes that resumes by itself over lost connections and members, with no event lost or doubled. From
/// [`Client::watch`](crate::Client::watch). Also a [`futures::Stream`]. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {}

impl Watcher {
    /// The next item. Cancel safe: nothing is lost when the future is dropped. `None` after an error or
    /// [`Watcher::close`].
    ///
    /// # Errors
    /// [`Error::Compacted`](crate::Error::Compacted) if history from its resume point was compacted away,
    /// [`Error::TooSlow`](crate::Error::TooSlow) if that happened because it was read too slowly, refusals. It is over then. Unavailability is waited out.
    pub async fn next(&mut self) -> Option<Result<WatchItem>> {
        todo!()
    }

    /// The revision from which a new watch would go on where this one is now: all below was given. 0 as long as
    /// that isn't known.
    pub fn next_revision(&self) -> Revision {
        todo!()
    }

    /// Ends the watch.
    pub fn close(&mut self) {
        todo!()
    }
}
