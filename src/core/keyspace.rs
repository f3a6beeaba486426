//! The ordered, multi-version map.
//!
//! Three maps share the versions: the live keys, all versions by key and revision, and the versions of each revision in
//! the order in which they were made. Invariants:
//!
//! - Revisions only grow, and every change makes exactly the next one.
//! - A revision holds each key at most once.
//! - A live key is the newest version in its history; a key whose newest version is a tombstone isn't live.
//! - At or below the compacted revision there is at most one version of a key, and it is no tombstone.
//! - Every version above the compacted revision stands in its revision, and nothing else does.

mod verify;

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::command::{Revision, SessionId};
use crate::outcome::{Change, Event, EventKind, KeyView};
use crate::snapshot::Version;
use crate::span::Interval;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    /// The newest revision.
    pub revision: Revision,
    /// Changes up to here are gone.
    pub compacted: Revision,
    /// Bytes of keys and values, all versions.
    pub bytes: u64,
    live: OrdMap<Bytes, Arc<Version>>,
    history: OrdMap<(Bytes, Revision), Arc<Version>>,
    revisions: OrdMap<Revision, Arc<[Arc<Version>]>>,
}

/// The next revision while it is made.
#[derive(Debug)]
pub(crate) struct Draft {
    pub revision: Revision,
    wall_ms: u64,
    events: Vec<Event>,
    versions: Vec<Arc<Version>>,
}

/// What a put writes.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub key: &'a Bytes,
    pub value: &'a Bytes,
    pub session: Option<SessionId>,
    pub claim: bool,
}

impl Keyspace {
    /// An empty one that stands at these revisions, for versions to be put back.
    pub fn at(revision: Revision, compacted: Revision) -> Self {
        Self { revision, compacted, ..Self::default() }
    }

    pub fn get(&self, key: &[u8]) -> Option<&Arc<Version>> {
        self.live.get(key)
    }

    /// How many keys live.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// All live keys, in order.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.live.values()
    }

    /// Live keys of an interval, in order.
    pub fn scan(&self, interval: &Interval) -> impl DoubleEndedIterator<Item = &Arc<Version>> + use<'_> {
        let live = (!interval.is_empty()).then(|| self.live.range::<_, [u8]>(interval.bounds()));
        live.into_iter().flatten().map(|(_, version)| version)
    }

    /// The newest version of a key at a revision, unless it is a tombstone.
    pub fn get_at(&self, key: &Bytes, revision: Revision) -> Option<&Arc<Version>> {
        self.version_at(key, revision).filter(|version| !version.deleted)
    }

    fn version_at(&self, key: &Bytes, revision: Revision) -> Option<&Arc<Version>> {
        self.history.range((key.clone(), 0)..=(key.clone(), revision)).next_back().map(|(_, version)| version)
    }

    /// The first key of an interval that lived at a revision.
    pub fn first_at(&self, interval: &Interval, revision: Revision) -> Option<&Arc<Version>> {
        let mut from = interval.start.clone();
        loop {
            let (key, _) = self.history.get_next(&(from, 0)).map(|(at, _)| at)?;
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
    pub fn last_at(&self, interval: &Interval, revision: Revision) -> Option<&Arc<Version>> {
        let mut end = interval.end.clone();
        loop {
            // No version has revision 0, so that the end itself is not found.
            let (key, _) = match end {
                Some(end) => self.history.get_prev(&(end, 0)).map(|(at, _)| at)?,
                None => self.history.get_max().map(|(at, _)| at)?,
            };
            if !interval.contains(key) {
                return None;
            }
            if let Some(version) = self.get_at(key, revision) {
                return Some(version);
            }
            end = Some(key.clone());
        }
    }

    /// Versions of a key, newest first.
    pub fn versions(&self, key: &Bytes) -> impl Iterator<Item = &Arc<Version>> {
        let all = self.history.range((key.clone(), 0)..=(key.clone(), Revision::MAX));
        all.rev().map(|(_, version)| version)
    }

    /// Begins the next revision.
    pub fn draft(&self, wall_ms: u64) -> Draft {
        Draft { revision: self.revision + 1, wall_ms, events: Vec::new(), versions: Vec::new() }
    }

    /// Writes a key, and gives the version replaced.
    pub fn put(&mut self, draft: &mut Draft, written: &Written<'_>) -> Option<Arc<Version>> {
        let before = self.live.get(&written.key[..]).cloned();
        // Copied: a slice of a message would keep the whole message in memory.
        let key = before.as_ref().map_or_else(|| Bytes::copy_from_slice(written.key), |before| before.key.clone());
        let version = Arc::new(Version {
            key: key.clone(),
            value: Bytes::copy_from_slice(written.value),
            create_revision: before.as_ref().map_or(draft.revision, |before| before.create_revision),
            mod_revision: draft.revision,
            version: before.as_ref().map_or(0, |before| before.version).saturating_add(1),
            session: written.session,
            wall_ms: draft.wall_ms,
            claim: written.claim,
            deleted: false,
        });
        self.live.insert(key, version.clone());
        self.record(draft, EventKind::Put, version, before.as_deref());
        before
    }

    /// Deletes a key, and gives what it was.
    pub fn delete(&mut self, draft: &mut Draft, key: &[u8]) -> Option<Arc<Version>> {
        let before = self.live.remove(key)?;
        let version = Arc::new(Version {
            key: before.key.clone(),
            value: Bytes::new(),
            create_revision: 0,
            mod_revision: draft.revision,
            version: 0,
            session: None,
            wall_ms: draft.wall_ms,
            claim: false,
            deleted: true,
        });
        self.record(draft, EventKind::Delete, version, Some(&before));
        Some(before)
    }

    fn record(&mut self, draft: &mut Draft, kind: EventKind, version: Arc<Version>, before: Option<&Version>) {
        debug_assert!(before.is_none_or(|before| before.mod_revision < draft.revision), "one event a key and revision");
        self.bytes = self.bytes.saturating_add(size(&version));
        self.history.insert((version.key.clone(), draft.revision), version.clone());
        draft.events.push(Event { kind, key: view(&version, true), prev: before.map(|before| view(before, true)) });
        draft.versions.push(version);
    }

    /// Makes the revision, if anything was changed.
    pub fn commit(&mut self, draft: Draft) -> Option<Arc<Change>> {
        if draft.events.is_empty() {
            return None;
        }
        debug_assert_eq!(draft.revision, self.revision + 1, "revisions only grow, one by one");
        self.revision = draft.revision;
        self.revisions.insert(draft.revision, draft.versions.into());
        Some(Arc::new(Change { revision: draft.revision, events: draft.events }))
    }

    /// Changes from a revision on, oldest first.
    pub fn changes(&self, from: Revision) -> impl Iterator<Item = Arc<Change>> + '_ {
        self.revisions.range(from..).map(|(&revision, versions)| {
            let events = versions.iter().map(|version| self.event(version)).collect();
            Arc::new(Change { revision, events })
        })
    }

    fn event(&self, version: &Arc<Version>) -> Event {
        let before = self.get_at(&version.key, version.mod_revision.saturating_sub(1));
        Event {
            kind: if version.deleted { EventKind::Delete } else { EventKind::Put },
            key: view(version, true),
            prev: before.map(|before| view(before, true)),
        }
    }

    /// Forgets what isn't the newest at `revision`. Takes time in proportion to what is forgotten.
    pub fn compact(&mut self, revision: Revision) {
        while let Some((oldest, versions)) = self.revisions.get_min().filter(|(oldest, _)| *oldest <= revision).cloned()
        {
            self.revisions.remove(&oldest);
            for version in versions.iter() {
                // At most one version stands before it: older ones went when that one was looked at.
                let before = self.version_at(&version.key, oldest - 1).map(|before| before.mod_revision);
                if let Some(before) = before {
                    self.forget(&version.key, before);
                }
                if version.deleted {
                    self.forget(&version.key, oldest);
                }
            }
        }
        self.compacted = revision;
    }

    fn forget(&mut self, key: &Bytes, revision: Revision) {
        if let Some(version) = self.history.remove(&(key.clone(), revision)) {
            self.bytes = self.bytes.saturating_sub(size(&version));
        }
    }

    /// By mistake: the counter is what the living keys say, as if it weren't in the snapshot.
    #[cfg(madsim)]
    pub fn forget_revision_by_mistake(&mut self) {
        if ringfence_probes::on(ringfence_probes::Bug::TokenResetBySnapshot) {
            let newest = self.live.values().map(|version| version.mod_revision).max();
            self.revision = newest.unwrap_or(0);
        }
    }

    /// Versions that history begins with, in the order of their keys.
    pub fn base(&self) -> impl Iterator<Item = &Version> + Send + '_ {
        self.history.values().filter(|version| version.mod_revision <= self.compacted).map(|version| &**version)
    }

    /// All later versions, in the order in which they were made.
    pub fn later(&self) -> impl Iterator<Item = &Version> + Send + '_ {
        self.revisions.values().flat_map(|versions| versions.iter().map(|version| &**version))
    }

    /// Puts versions of a snapshot back: those of [`Self::base`] one by one, then those of [`Self::later`], all of one
    /// revision at a time.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn restore(&mut self, revision: Revision, versions: Vec<Version>) -> Result<(), String> {
        let versions: Vec<_> = versions.into_iter().map(Arc::new).collect();
        for version in &versions {
            self.bytes = self.bytes.saturating_add(size(version));
            if version.deleted {
                self.live.remove(&version.key[..]);
            } else {
                self.live.insert(version.key.clone(), version.clone());
            }
            if self.history.insert((version.key.clone(), revision), version.clone()).is_some() {
                return Err(format!("key {} is twice in revision {revision}", name(&version.key)));
            }
        }
        if revision > self.compacted {
            if self.revisions.get_max().is_some_and(|(newest, _)| *newest >= revision) {
                return Err(format!("revision {revision} is out of order"));
            }
            self.revisions.insert(revision, versions.into());
        }
        Ok(())
    }
}

/// A version as readers see it.
pub(crate) fn view(version: &Version, with_value: bool) -> KeyView {
    KeyView {
        key: version.key.clone(),
        value: if with_value { version.value.clone() } else { Bytes::new() },
        create_revision: version.create_revision,
        mod_revision: version.mod_revision,
        version: version.version,
        session: version.session,
        wall_ms: version.wall_ms,
        claim: version.claim,
    }
}

/// Bytes of key and value.
pub(crate) fn size(version: &Version) -> u64 {
    (version.key.len() + version.value.len()) as u64
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
