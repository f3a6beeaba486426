//! Watches: what is applied, handed to those who want to know.
//!
//! The [`Hub`] observes the replica. Each watch has a *feed* with a cursor: a revision below which everything was handed out.
//! A feed is *live* while the changes that concern it are put into its buffer as they are applied, and otherwise reads the history
//! that the state keeps, from its cursor on, until it has caught up. A watch begins in history if it begins in the past, falls back to it when
//! its buffer is full, and when a snapshot replaces the state. The switch to live happens under the hub's lock and only if nothing beyond the
//! cursor was published, so no event is lost or doubled.
//!
//! Waiters of locks and observers of elections don't watch keys: they listen to [`Signals`] and look at the state when woken.

mod feed;
mod index;
mod mailbox;
mod signals;
#[cfg(test)]
mod tests;
mod watching;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use ringfence_core::{Outcome, Revision, State, query::Stats};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::{
    feed::{Feed, change_bytes},
    index::Index,
};
pub use self::{
    feed::{Filter, WATCH_BUFFER_BYTES_MAX},
    mailbox::Mailbox,
    signals::{Signal, Signals},
    watching::{End, MESSAGE_BYTES, Step, Watching},
};
use crate::replica::{Observer, Replica};

/// Watches that read history or a snapshot at the same time. Each gives way to all else that is ready after a message, so
/// that thousands of them that catch up together never come between a write and its answer.
const CATCHING_UP_MAX: usize = 2;

/// From where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// From the next change on.
    Next,
    /// From this revision on, past or future.
    At(Revision),
    /// With the present state, then from the next change on. When history doesn't reach back to the cursor any more, with the
    /// present state again.
    Snapshot,
}

/// Hands on what is applied.
pub struct Hub {
    replica: Arc<Replica>,
    feeds: Mutex<Feeds>,
    catching_up: Semaphore,
    claims: Signals,
    queues: Signals,
}

#[derive(Default)]
struct Feeds {
    ids: u64,
    /// Changes up to here were put into the live feeds.
    published: Revision,
    index: Index,
}

impl Hub {
    /// A hub that observes this replica. Make it before the node starts.
    pub fn new(replica: Arc<Replica>) -> Arc<Self> {
        let hub = Arc::new(Self {
            feeds: Mutex::new(Feeds { published: replica.revision(), ..Feeds::default() }),
            replica: replica.clone(),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
            claims: Signals::default(),
            queues: Signals::default(),
        });
        replica.observe(Arc::new(Eyes(Arc::downgrade(&hub))));
        hub
    }

    /// Begins a watch. `number` is what the mailbox says when there is something to do for it.
    pub fn watch(self: &Arc<Self>, filter: Filter, begin: Begin, mailbox: &Mailbox, number: u64) -> Watching {
        let mut feeds = self.feeds.lock();
        feeds.ids += 1;
        let (next, live) = match begin {
            Begin::Next => (feeds.published + 1, true),
            Begin::At(revision) => (revision, revision > feeds.published),
            Begin::Snapshot => (feeds.published + 1, false),
        };
        let feed = Arc::new(Feed::new(feeds.ids, number, filter, mailbox.clone(), next, live));
        feeds.index.add(&feed);
        drop(feeds);
        feed.ready();
        Watching::new(self.clone(), feed, begin == Begin::Snapshot)
    }

    /// Waits for the turn of a watch that [is behind](Watching::is_behind); it is over with the value. Cancel safe.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.catching_up.acquire().await.ok()
    }

    /// Listens for the grant and the end of the claim with this key.
    pub fn claim(&self, key: Bytes) -> Signal {
        self.claims.listen(key)
    }

    /// Listens for changes of a queue's owners and of their values.
    pub fn queue(&self, name: Bytes) -> Signal {
        self.queues.listen(name)
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.feeds.lock().index.len()
    }

    fn publish(&self, outcome: &Outcome) {
        {
            let mut feeds = self.feeds.lock();
            for change in &outcome.changes {
                let mut bytes = None;
                for event in &change.events {
                    feeds.index.concerned(&event.key.key, |feed| {
                        if feed.filter().wants(event.kind) {
                            feed.push(change, *bytes.get_or_insert_with(|| change_bytes(change)));
                        }
                    });
                }
                feeds.published = change.revision;
            }
        }
        for grant in outcome.granted.iter().chain(&outcome.ended) {
            self.claims.raise(&grant.key);
        }
        for name in &outcome.queues {
            self.queues.raise(name);
        }
    }

    /// The state was replaced: what was published is known no more, so everyone reads history from where they stand.
    fn replaced(&self, revision: Revision) {
        {
            let mut feeds = self.feeds.lock();
            for feed in feeds.index.all() {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::WATCHED_THROUGH_SNAPSHOT);
                let mut position = feed.position();
                if position.live && position.waiting.is_empty() {
                    position.next = position.next.max(feeds.published + 1);
                }
                position.fall_back();
                drop(position);
                feed.ready();
            }
            feeds.published = revision;
        }
        self.claims.raise_all();
        self.queues.raise_all();
    }

    /// Makes a feed live if nothing beyond its cursor was published yet.
    fn go_live(&self, feed: &Feed) -> bool {
        let feeds = self.feeds.lock();
        let mut position = feed.position();
        position.live = position.next > feeds.published;
        position.live
    }

    /// Up to where everything was handed out, if that is as far as this member knows.
    fn progress(&self, feed: &Feed) -> Option<Revision> {
        let feeds = self.feeds.lock();
        let position = feed.position();
        let all_sent = position.live && position.waiting.is_empty();
        #[cfg(madsim)]
        let all_sent = all_sent || ringfence_probes::on(ringfence_probes::Bug::ProgressAhead);
        if all_sent {
            // A watch that begins in the future has no progress before that.
            (position.next <= feeds.published + 1).then_some(feeds.published)
        } else {
            position.next.checked_sub(1).filter(|&done| done > 0)
        }
    }

    fn remove(&self, feed: &Feed) {
        self.feeds.lock().index.remove(feed);
    }
}

/// What the replica calls. It doesn't keep the hub alive, which keeps the replica.
struct Eyes(std::sync::Weak<Hub>);

impl Observer for Eyes {
    fn applied(&self, index: u64, outcome: &Outcome) {
        if let Some(hub) = self.0.upgrade() {
            #[cfg(madsim)]
            let published = hub.feeds.lock().published;
            hub.publish(outcome);
            #[cfg(not(madsim))]
            let _ = index;
            // A mistake: the events are out, and nothing was committed.
            #[cfg(madsim)]
            if index == 0 && ringfence_probes::on(ringfence_probes::Bug::UncommittedEvent) {
                hub.feeds.lock().published = published;
            }
        }
    }

    fn installed(&self, _index: u64, state: &State) {
        if let Some(hub) = self.0.upgrade() {
            hub.replaced(state.read(&Stats).map_or(0, |stats| stats.revision));
        }
    }
}
