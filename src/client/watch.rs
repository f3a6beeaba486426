//! Watches: committed changes, each once and in order.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::follow::{Follower, Step};
use crate::select::Select;
use crate::types::{Event, KeyValue, Revision};

/// Items that wait to be read. Beyond it the stream isn't read, and the server waits.
const ITEMS_WAITING_MAX: usize = 16;

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
        Self { select, start: 0, snapshot: false, no_put: false, no_delete: false, prev: false, progress: None }
    }

    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::new(Select::key(key))
    }

    /// All keys from `start` on and below `end`.
    pub fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self::new(Select::range(start, end))
    }

    /// All keys that begin so; empty: all keys.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::new(Select::prefix(prefix))
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
///
/// Each watch has a stream of its own on a connection shared by many; one that isn't read holds up only itself.
#[derive(Debug)]
pub struct Watcher {
    items: mpsc::Receiver<Result<Step>>,
    next: Revision,
    progress: bool,
}

impl Watcher {
    pub(crate) async fn start(client: &Client, options: WatchOptions) -> Result<Self> {
        if options.snapshot && options.start != 0 {
            return Err(Error::InvalidArgument {
                message: "a watch begins with a snapshot or at a revision, not with both".to_owned(),
            });
        }
        let progress = options.progress.is_some();
        let (sender, items) = mpsc::channel(ITEMS_WAITING_MAX);
        let (ready, in_place) = oneshot::channel();
        let follower = Follower::new(client.core().clone(), options, sender, ready);
        tokio::spawn(follower.run());
        let deadline = client.out_of_time().saturating_duration_since(Instant::now());
        let next = match tokio::time::timeout(deadline, in_place).await {
            Ok(Ok(started)) => started?,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => {
                return Err(Error::Unavailable { message: format!("watch: not in place within {deadline:?}") });
            }
        };
        Ok(Self { items, next, progress })
    }

    /// The next item. Cancel safe: nothing is lost when the future is dropped. `None` after an error or
    /// [`Watcher::close`].
    ///
    /// # Errors
    /// [`Error::Compacted`] if history from its resume point was compacted away, [`Error::TooSlow`] if that happened
    /// because it was read too slowly (one that begins with a snapshot starts over with a new one instead); refusals. It
    /// is over then. Unavailability is waited out.
    pub async fn next(&mut self) -> Option<Result<WatchItem>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The revision from which a new watch would go on where this one is now: all below was given. 0 as long as
    /// that isn't known, which is until a snapshot is complete.
    pub fn next_revision(&self) -> Revision {
        self.next
    }

    /// Ends the watch. What was on its way is dropped.
    pub fn close(&mut self) {
        self.items.close();
        while self.items.try_recv().is_ok() {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<WatchItem>>> {
        loop {
            let step = match std::task::ready!(self.items.poll_recv(context)) {
                Some(Ok(step)) => step,
                Some(Err(error)) => {
                    self.items.close();
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(None),
            };
            self.next = step.next;
            if self.progress || !matches!(step.item, WatchItem::Progress(_)) {
                return Poll::Ready(Some(Ok(step.item)));
            }
        }
    }
}

impl Stream for Watcher {
    type Item = Result<WatchItem>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}
