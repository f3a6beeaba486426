//! A model that is too simple to be wrong: it learns the keyspace from the changes alone, keeps a whole copy of the map
//! for each revision, and finds owners by walking a queue from its beginning.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ringfence_core::query::{Owner, Queue, Queues, Range, Select};
use ringfence_core::{ClaimView, EventKind, KeyView, Mode, Outcome, Span, State};

use crate::{all, changes, stats};

type Map = BTreeMap<Bytes, KeyView>;

#[derive(Default)]
pub struct Model {
    /// The map as of each revision; the first is the empty one.
    maps: Vec<Map>,
    changes: Vec<std::sync::Arc<ringfence_core::Change>>,
    clock_ms: u64,
    sequential: BTreeSet<Bytes>,
    /// Who owned each queue before, by tokens.
    owners: BTreeMap<Bytes, Vec<u64>>,
}

impl Model {
    /// Follows one entry's outcome, and compares what came of it.
    pub fn follow(&mut self, state: &State, outcome: &Outcome) {
        if self.maps.is_empty() {
            self.maps.push(Map::new());
        }
        for change in &outcome.changes {
            assert_eq!(change.revision, self.maps.len() as u64, "each change makes the next revision");
            let mut map = self.maps.last().unwrap().clone();
            let mut written = BTreeSet::new();
            assert!(!change.events.is_empty());
            for event in &change.events {
                assert!(written.insert(&event.key.key), "each key at most once in a revision");
                assert_eq!(event.key.mod_revision, change.revision);
                let before = match event.kind {
                    EventKind::Put => map.insert(event.key.key.clone(), event.key.clone()),
                    EventKind::Delete => map.remove(&event.key.key),
                };
                assert_eq!(event.prev, before, "the version before");
                let created = before.as_ref().map_or(change.revision, |before| before.create_revision);
                if event.kind == EventKind::Put {
                    assert_eq!(event.key.create_revision, created);
                    assert_eq!(event.key.version, before.map_or(1, |before| before.version + 1));
                }
            }
            self.maps.push(map);
            self.changes.push(change.clone());
        }
        let now = stats(state);
        assert_eq!(now.revision + 1, self.maps.len() as u64);
        assert!(now.clock_ms >= self.clock_ms, "the clock never goes back");
        self.clock_ms = now.clock_ms;
        let newest: Vec<_> = self.maps.last().unwrap().values().cloned().collect();
        assert_eq!(state.read(&all(0)).unwrap().keys, newest);
        assert_eq!(now.keys, newest.len() as u64);
        self.follow_sequential(outcome);
        self.follow_queues(state, outcome);
    }

    /// Sequential keys only grow.
    fn follow_sequential(&mut self, outcome: &Outcome) {
        for change in &outcome.changes {
            for event in change.events.iter().filter(|event| event.kind == EventKind::Put) {
                let digits = event.key.key.len().saturating_sub(20);
                let number = event.key.key.slice(digits..);
                // The one that is written by hand is as long, but is among the keys of the universe.
                if number.len() == 20
                    && number.iter().all(u8::is_ascii_digit)
                    && event.key.key != "q/00000000000000000002"
                {
                    assert!(self.sequential.last().is_none_or(|last| *last < number), "sequential numbers only grow");
                    self.sequential.insert(number);
                }
            }
        }
    }

    fn follow_queues(&mut self, state: &State, outcome: &Outcome) {
        let queues = Queues { prefix: Bytes::new(), after: Bytes::new(), limit: usize::MAX };
        let mut owners = BTreeMap::new();
        for summary in state.read(&queues).unwrap() {
            let name = summary.name;
            let queue = state.read(&Queue { name: name.clone(), limit: usize::MAX }).unwrap();
            let claims: Vec<_> = queue.owners.iter().chain(&queue.waiters).cloned().collect();
            let compatible = compatible_prefix(&claims);
            assert_eq!(queue.owners.len(), compatible, "the owners are the longest compatible prefix");
            assert!(claims.is_sorted_by(|one, next| one.token < next.token), "the queue is in the order of tokens");
            let exclusive = queue.owners.iter().filter(|claim| claim.mode == Mode::Exclusive).count();
            assert!(exclusive == 0 || queue.owners.len() == 1, "an exclusive owner is alone");
            self.compare_claims(&claims);
            for claim in &claims {
                let answer = state.read(&Owner { name: name.clone(), token: claim.token }).unwrap();
                assert_eq!((answer.owner, answer.current), (claim.owner, queue.owners.last().unwrap().token));
            }
            assert_eq!((summary.owners, summary.waiting), (queue.owners.len() as u64, queue.waiters.len() as u64));
            owners.insert(name, queue.owners.iter().map(|claim| claim.token).collect());
        }
        self.compare_grants(&owners, outcome);
        self.owners = owners;
    }

    /// Each claim is its key.
    fn compare_claims(&self, claims: &[ClaimView]) {
        for claim in claims {
            let key = &self.maps.last().unwrap()[&claim.key];
            assert!(key.claim);
            assert_eq!((key.create_revision, key.mod_revision), (claim.token, claim.mod_revision));
            assert_eq!((key.session, &key.value), (Some(claim.session), &claim.value));
        }
    }

    /// Who owns now is who owned before, without those whose claims ended and with those who were granted.
    fn compare_grants(&self, owners: &BTreeMap<Bytes, Vec<u64>>, outcome: &Outcome) {
        let ended: BTreeSet<_> = outcome.ended.iter().map(|ended| ended.token).collect();
        let names: BTreeSet<_> = self.owners.keys().chain(owners.keys()).collect();
        let mut granted_before = BTreeMap::new();
        for grant in &outcome.granted {
            let last = granted_before.insert(&grant.name, grant.token);
            assert!(last.is_none_or(|last| last < grant.token), "grants are in the order of tokens");
        }
        for name in names {
            let before = self.owners.get(name).into_iter().flatten().copied();
            let granted = outcome.granted.iter().filter(|grant| grant.name == *name).map(|grant| grant.token);
            let expected: Vec<_> = before.chain(granted).filter(|token| !ended.contains(token)).collect();
            assert_eq!(owners.get(name).cloned().unwrap_or_default(), expected);
            let changed = owners.get(name) != self.owners.get(name);
            assert!(!changed || outcome.queues.contains(name), "a change of owners is told");
        }
        assert!(outcome.queues.is_sorted_by(|one, next| one < next));
    }

    /// Every revision that wasn't compacted can still be read, and the changes since are all there.
    pub fn compare_history(&self, state: &State) {
        let compacted = stats(state).compacted;
        for (revision, map) in self.maps.iter().enumerate().skip(1) {
            let answer = state.read(&all(revision as u64));
            if (revision as u64) < compacted {
                assert!(answer.is_err());
            } else {
                let expected: Vec<_> = map.values().cloned().collect();
                assert_eq!(answer.unwrap().keys, expected);
            }
        }
        assert_eq!(changes(state), self.changes[usize::try_from(compacted).unwrap()..]);
    }

    /// A range of any form, at any revision, gives what a walk over the whole map finds.
    pub fn compare_range(&self, state: &State, range: &Range) {
        if range.check().is_err() {
            assert!(state.read(range).is_err());
            return;
        }
        for revision in stats(state).compacted.max(1)..self.maps.len() as u64 {
            let range = Range { revision, ..range.clone() };
            let answer = state.read(&range).unwrap();
            let mut expected = select(&self.maps[usize::try_from(revision).unwrap()], &range);
            assert_eq!(answer.count, expected.len() as u64);
            if range.descending {
                expected.reverse();
            }
            let taken = if range.count_only { 0 } else { range.limit };
            assert_eq!(answer.more, !range.count_only && expected.len() > taken);
            expected.truncate(taken);
            if range.keys_only {
                expected.iter_mut().for_each(|view| view.value = Bytes::new());
            }
            assert_eq!(answer.keys, expected);
        }
    }
}

/// How many claims from the beginning on can own together.
fn compatible_prefix(claims: &[ClaimView]) -> usize {
    match claims.first().map(|claim| claim.mode) {
        None => 0,
        Some(Mode::Exclusive) => 1,
        Some(Mode::Shared) => claims.iter().take_while(|claim| claim.mode == Mode::Shared).count(),
        Some(Mode::Semaphore(permits)) => {
            let alike = claims.iter().take_while(|claim| claim.mode == Mode::Semaphore(permits));
            alike.take(permits as usize).count()
        }
    }
}

fn select(map: &Map, range: &Range) -> Vec<KeyView> {
    let contains = |span: &Span, key: &Bytes| match span {
        Span::Key(only) => key == only,
        Span::Between { start, end } => start <= key && key < end,
        Span::Prefix(prefix) => key.starts_with(prefix),
    };
    match &range.select {
        Select::Span(span) => map.values().filter(|view| contains(span, &view.key)).cloned().collect(),
        Select::Children(path) => children(map, path),
    }
}

fn children(map: &Map, path: &Bytes) -> Vec<KeyView> {
    let prefix = if path.is_empty() { Vec::new() } else { [path, &b"/"[..]].concat() };
    let mut found = BTreeMap::new();
    for view in map.values().filter(|view| view.key.starts_with(&prefix)) {
        // A leading slash belongs to the first name.
        let skip = prefix.len() + usize::from(prefix.is_empty() && view.key.starts_with(b"/"));
        let slash = view.key[skip..].iter().position(|byte| *byte == b'/');
        let child = slash.map_or(view.key.clone(), |slash| view.key.slice(..skip + slash));
        let empty = KeyView { key: child.clone(), create_revision: 0, mod_revision: 0, version: 0, ..view.clone() };
        let path = KeyView { value: Bytes::new(), session: None, wall_ms: 0, claim: false, ..empty };
        found.entry(child.clone()).or_insert_with(|| map.get(&child).cloned().unwrap_or(path));
    }
    found.into_values().collect()
}
