//! The ordered, multi-version map.
//!
//! A version is either the newest of a living key or among the older ones, and each change of the history also stands in its revision,
//! in the order in which they were made. Invariants:
//!
//! - Revisions only grow, and every change makes exactly the next one.
//! - A revision holds each key at most once.
//! - Older versions of a key are in the order of their revisions, and of a living key they are older than the living one. A tombstone is
//!   the newest version of a key that isn't alive, or has a version after it.
//! - At or below the compacted revision there is at most one version of a key, and it is no tombstone.
//! - Every version above the compacted revision stands in its revision, and nothing else does.

mod older;
mod stored;
mod verify;

use std::iter;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdSet, Vector};

use crate::command::{Revision, SessionId};
use crate::outcome::{Change, Event, EventKind};
use crate::snapshot::Version;
use crate::span::Interval;
use older::Older;
use stored::Facts;
pub(crate) use stored::Stored;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    /// The newest revision.
    pub revision: Revision,
    /// Changes up to here are gone.
    pub compacted: Revision,
    /// Bytes of keys and values, all versions.
    pub bytes: u64,
    live: OrdSet<Stored>,
    older: Older,
    /// Above the compacted revision, oldest first.
    revisions: Vector<Made>,
}

/// What one revision changed.
#[derive(Clone, Debug)]
enum Made {
    One(Stored),
    Many(Arc<[Stored]>),
}

impl Made {
    fn of(mut versions: Vec<Stored>) -> Self {
        match (versions.pop(), versions.is_empty()) {
            (Some(only), true) => Self::One(only),
            (last, _) => Self::Many(versions.into_iter().chain(last).collect()),
        }
    }

    fn versions(&self) -> &[Stored] {
        match self {
            Self::One(version) => std::slice::from_ref(version),
            Self::Many(versions) => versions,
        }
    }

    fn revision(&self) -> Revision {
        self.versions().first().map_or(0, Stored::mod_revision)
    }
}

/// The next revision while it is made.
#[derive(Debug)]
pub(crate) struct Draft {
    pub revision: Revision,
    wall_ms: u64,
    events: Vec<Event>,
    versions: Vec<Stored>,
}

impl Draft {
    /// The key that was written last.
    pub fn last_key(&self) -> Option<Bytes> {
        self.versions.last().map(Stored::own_key)
    }
}

/// What a put writes.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub session: Option<SessionId>,
    pub claim: bool,
}

impl Keyspace {
    /// An empty one that stands at these revisions, for versions to be put back.
    pub fn at(revision: Revision, compacted: Revision) -> Self {
        Self { revision, compacted, ..Self::default() }
    }

    pub fn get(&self, key: &[u8]) -> Option<&Stored> {
        self.live.get(key)
    }

    /// How many keys live.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// All live keys, in order.
    pub fn live(&self) -> impl Iterator<Item = &Stored> {
        self.live.iter()
    }

    /// Live keys of an interval, in order.
    pub fn scan(&self, interval: &Interval) -> impl DoubleEndedIterator<Item = &Stored> + use<'_> {
        let live = (!interval.is_empty()).then(|| self.live.range::<_, [u8]>(interval.bounds()));
        live.into_iter().flatten()
    }

    /// The newest version of a key at a revision, unless it is a tombstone.
    pub fn get_at(&self, key: &[u8], revision: Revision) -> Option<&Stored> {
        self.version_at(key, revision).filter(|version| !version.is_deleted())
    }

    fn version_at(&self, key: &[u8], revision: Revision) -> Option<&Stored> {
        let newest = self.live.get(key).filter(|newest| newest.mod_revision() <= revision);
        newest.or_else(|| self.older.at(key, revision))
    }

    /// The first key of an interval that lived at a revision.
    pub fn first_at(&self, interval: &Interval, revision: Revision) -> Option<&Stored> {
        let mut from = interval.start.clone();
        loop {
            let living = self.live.get_next(&from[..]).map(Stored::key);
            let key = [living, self.older.key_from(&from)].into_iter().flatten().min()?;
            if !interval.contains(key) {
                return None;
            }
            if let Some(version) = self.get_at(key, revision) {
                return Some(version);
            }
            from = after(key);
        }
    }

    /// The last key of an interval that lived at a revision.
    pub fn last_at(&self, interval: &Interval, revision: Revision) -> Option<&Stored> {
        let mut end = interval.end.clone();
        loop {
            let below = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let living = self.live.range::<_, [u8]>((Bound::Unbounded, below)).next_back().map(Stored::key);
            let key = [living, self.older.key_below(below)].into_iter().flatten().max()?;
            if !interval.contains(key) {
                return None;
            }
            if let Some(version) = self.get_at(key, revision) {
                return Some(version);
            }
            end = Some(Bytes::copy_from_slice(key));
        }
    }

    /// Versions of a key, newest first.
    pub fn versions(&self, key: &[u8]) -> impl Iterator<Item = &Stored> + use<'_> {
        self.live.get(key).into_iter().chain(self.older.of(key).rev())
    }

    /// Begins the next revision.
    pub fn draft(&self, wall_ms: u64) -> Draft {
        Draft { revision: self.revision + 1, wall_ms, events: Vec::new(), versions: Vec::new() }
    }

    /// Writes a key over the version that it has, if it lives.
    pub fn put(&mut self, draft: &mut Draft, written: &Written<'_>, before: Option<&Stored>) {
        let replaced = before.map(Stored::facts);
        let facts = Facts {
            create_revision: replaced.map_or(draft.revision, |replaced| replaced.create_revision),
            mod_revision: draft.revision,
            version: replaced.map_or(0, |replaced| replaced.version).saturating_add(1),
            session: written.session,
            wall_ms: draft.wall_ms,
            claim: written.claim,
            deleted: false,
        };
        let version = Stored::new(written.key, written.value, &facts);
        let replaced = self.live.insert(version.clone());
        debug_assert_eq!(
            replaced.as_ref().map(Stored::mod_revision),
            before.map(Stored::mod_revision),
            "another version"
        );
        self.record(draft, EventKind::Put, version, before);
    }

    /// Deletes a key, and gives what it was.
    pub fn delete(&mut self, draft: &mut Draft, key: &[u8]) -> Option<Stored> {
        let before = self.live.remove(key)?;
        let facts = Facts {
            create_revision: 0,
            mod_revision: draft.revision,
            version: 0,
            session: None,
            wall_ms: draft.wall_ms,
            claim: false,
            deleted: true,
        };
        let version = Stored::new(before.key(), &[], &facts);
        self.record(draft, EventKind::Delete, version.clone(), Some(&before));
        self.older.push(version);
        Some(before)
    }

    fn record(&mut self, draft: &mut Draft, kind: EventKind, version: Stored, before: Option<&Stored>) {
        debug_assert!(
            before.is_none_or(|before| before.mod_revision() < draft.revision),
            "one event a key and revision"
        );
        self.bytes = self.bytes.saturating_add(version.size() as u64);
        if let Some(before) = before {
            self.older.push(before.clone());
        }
        draft.events.push(Event { kind, key: version.view(true), prev: before.map(|before| before.view(true)) });
        draft.versions.push(version);
    }

    /// Makes the revision, if anything was changed.
    pub fn commit(&mut self, draft: Draft) -> Option<Arc<Change>> {
        if draft.events.is_empty() {
            return None;
        }
        debug_assert_eq!(draft.revision, self.revision + 1, "revisions only grow, one by one");
        self.revision = draft.revision;
        self.revisions.push_back(Made::of(draft.versions));
        Some(Arc::new(Change { revision: draft.revision, events: draft.events }))
    }

    /// Changes from a revision on, oldest first.
    pub fn changes(&self, from: Revision) -> impl Iterator<Item = Arc<Change>> + '_ {
        let first = match self.revisions.binary_search_by_key(&from, Made::revision) {
            Ok(index) | Err(index) => index,
        };
        self.revisions.focus().narrow(first..).into_iter().map(|made| {
            let events = made.versions().iter().map(|version| self.event(version)).collect();
            Arc::new(Change { revision: made.revision(), events })
        })
    }

    fn event(&self, version: &Stored) -> Event {
        let before = self.get_at(version.key(), version.mod_revision().saturating_sub(1));
        Event {
            kind: if version.is_deleted() { EventKind::Delete } else { EventKind::Put },
            key: version.view(true),
            prev: before.map(|before| before.view(true)),
        }
    }

    /// Forgets what isn't the newest at `revision`. Takes time in proportion to what is forgotten.
    pub fn compact(&mut self, revision: Revision) {
        while let Some(made) = self.revisions.front().filter(|made| made.revision() <= revision).cloned() {
            self.revisions.pop_front();
            let oldest = made.revision();
            for version in made.versions() {
                // At most one version stands before it: older ones went when that one was looked at.
                let before = self.version_at(version.key(), oldest - 1).map(Stored::mod_revision);
                if let Some(before) = before {
                    self.forget(version.key(), before);
                }
                if version.is_deleted() {
                    self.forget(version.key(), oldest);
                }
            }
        }
        self.compacted = revision;
    }

    fn forget(&mut self, key: &[u8], revision: Revision) {
        if let Some(version) = self.older.forget(key, revision) {
            self.bytes = self.bytes.saturating_sub(version.size() as u64);
        }
    }

    /// By mistake: the counter is what the living keys say, as if it weren't in the snapshot.
    #[cfg(madsim)]
    pub fn forget_revision_by_mistake(&mut self) {
        if ringfence_probes::on(ringfence_probes::Bug::TokenResetBySnapshot) {
            let newest = self.live.iter().map(Stored::mod_revision).max();
            self.revision = newest.unwrap_or(0);
        }
    }

    /// Versions that history begins with, in the order of their keys.
    pub fn base(&self) -> impl Iterator<Item = Version> + Send + '_ {
        let base = |version: &&Stored| version.mod_revision() <= self.compacted;
        // A key has one at most, as the oldest of its versions.
        let mut living = self.live.iter().filter(base).peekable();
        let mut older = self.older.iter().filter_map(|versions| versions.front()).filter(base).peekable();
        iter::from_fn(move || match (living.peek(), older.peek()) {
            (Some(alive), Some(old)) if old.key() < alive.key() => older.next(),
            (None, Some(_)) => older.next(),
            _ => living.next(),
        })
        .map(Stored::record)
    }

    /// All later versions, in the order in which they were made.
    pub fn later(&self) -> impl Iterator<Item = Version> + Send + '_ {
        self.revisions.iter().flat_map(|made| made.versions().iter().map(Stored::record))
    }

    /// Puts versions of a snapshot back: those of [`Self::base`] one by one, then those of [`Self::later`], all of one
    /// revision at a time.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn restore(&mut self, revision: Revision, versions: Vec<Stored>) -> Result<(), String> {
        for version in &versions {
            self.bytes = self.bytes.saturating_add(version.size() as u64);
            let newest = self.live.get(version.key()).or_else(|| self.older.newest(version.key()));
            if newest.is_some_and(|newest| newest.mod_revision() >= revision) {
                return Err(format!("key {} is not in order in revision {revision}", name(version.key())));
            }
            let before = match version.is_deleted() {
                true => self.live.remove(version.key()),
                false => self.live.insert(version.clone()),
            };
            let tombstone = version.is_deleted().then(|| version.clone());
            before.into_iter().chain(tombstone).for_each(|older| self.older.push(older));
        }
        if revision > self.compacted {
            if self.revisions.last().is_some_and(|newest| newest.revision() >= revision) {
                return Err(format!("revision {revision} is out of order"));
            }
            self.revisions.push_back(Made::of(versions));
        }
        Ok(())
    }
}

/// A key as people read it.
pub(crate) fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The least key above this one.
pub(crate) fn after(key: &[u8]) -> Bytes {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after.into()
}
