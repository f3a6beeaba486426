//! What waits for one watch.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use ringfence_core::{Change, Event, EventKind, Revision, Span};

use super::mailbox::Mailbox;

/// Bytes of changes that wait for one watch. A client that reads at all is seldom so far behind, and a thousand that don't cost a
/// gigabyte at most. The changes are shared among watches and with history, so mostly they cost much less. A watch that passes
/// it reads from history until it has caught up.
pub const WATCH_BUFFER_BYTES_MAX: usize = 1 << 20;

/// What a watch wants of a change.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The keys.
    pub span: Span,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletions out.
    pub no_delete: bool,
}

impl Filter {
    /// Wants this kind of event.
    pub fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }

    /// Wants this event.
    pub fn passes(&self, event: &Event) -> bool {
        self.wants(event.kind) && super::index::contains(&self.span, &event.key.key)
    }
}

/// Where a watch stands, written by the hub and read by the watch's stream.
pub struct Feed {
    id: u64,
    number: u64,
    filter: Filter,
    mailbox: Mailbox,
    position: Mutex<Position>,
}

/// The cursor of a watch and what waits behind it.
pub struct Position {
    /// Everything below this revision that the watch wants was handed out, except for what waits.
    pub next: Revision,
    /// Changes are put into `waiting` as they come; otherwise the watch reads history.
    pub live: bool,
    /// In order; only changes that the watch wants something of.
    pub waiting: VecDeque<Arc<Change>>,
    /// About how many bytes wait.
    pub bytes: usize,
}

impl Position {
    /// Forgets what waits: the watch reads it from history.
    pub fn fall_back(&mut self) {
        self.live = false;
        self.waiting.clear();
        self.bytes = 0;
    }
}

impl Feed {
    /// A feed that stands before `next`.
    pub fn new(id: u64, number: u64, filter: Filter, mailbox: Mailbox, next: Revision, live: bool) -> Self {
        let position = Position { next, live, waiting: VecDeque::new(), bytes: 0 };
        Self { id, number, filter, mailbox, position: Mutex::new(position) }
    }

    /// Unique in the hub.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The keys.
    pub fn span(&self) -> &Span {
        &self.filter.span
    }

    /// What it wants.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Where it stands.
    pub fn position(&self) -> parking_lot::MutexGuard<'_, Position> {
        self.position.lock()
    }

    /// Says that the watch has something to do.
    pub fn ready(&self) {
        self.mailbox.ready(self.number);
    }

    /// A change of which it wants something was made.
    pub fn push(&self, change: &Arc<Change>, bytes: usize) {
        let mut position = self.position();
        let seen = position.waiting.back().is_some_and(|last| last.revision >= change.revision);
        if !position.live || seen || change.revision < position.next {
            return;
        }
        if position.waiting.is_empty() {
            // All before is not for this watch, so it counts as handed out.
            position.next = change.revision;
        }
        if position.bytes + bytes > WATCH_BUFFER_BYTES_MAX {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::WATCHED_THROUGH_SNAPSHOT);
            position.fall_back();
        } else {
            position.bytes += bytes;
            position.waiting.push_back(change.clone());
        }
        drop(position);
        self.ready();
    }
}

/// About how many bytes a change is.
pub fn change_bytes(change: &Change) -> usize {
    const FIXED: usize = 96;
    let event = |event: &Event| {
        let prev = event.prev.as_ref().map_or(0, |prev| prev.value.len());
        FIXED + event.key.key.len() + event.key.value.len() + prev
    };
    change.events.iter().map(event).sum()
}
