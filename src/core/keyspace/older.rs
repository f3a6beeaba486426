//! Versions that are not the newest of a living key: those that were replaced, and tombstones.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdMap, Vector};

use super::Stored;
use crate::command::Revision;

/// By their keys, the oldest first. Cloning shares structure.
#[derive(Clone, Debug, Default)]
pub(super) struct Older {
    /// Each key's are shared as a whole: a node of the map is copied for each of its keys that is written after a clone.
    keys: OrdMap<Bytes, Arc<Vector<Stored>>>,
}

impl Older {
    /// Adds a version, which is newer than all that are here of its key.
    pub fn push(&mut self, version: Stored) {
        match self.keys.get_mut(version.key()) {
            Some(versions) => Arc::make_mut(versions).push_back(version),
            None => drop(self.keys.insert(version.own_key(), Arc::new(Vector::unit(version)))),
        }
    }

    /// The newest of a key.
    pub fn newest(&self, key: &[u8]) -> Option<&Stored> {
        self.keys.get(key)?.last()
    }

    /// The newest of a key at a revision.
    pub fn at(&self, key: &[u8], revision: Revision) -> Option<&Stored> {
        let versions = self.keys.get(key)?;
        match versions.binary_search_by_key(&revision, Stored::mod_revision) {
            Ok(index) => versions.get(index),
            Err(index) => versions.get(index.checked_sub(1)?),
        }
    }

    /// All of a key, the oldest first.
    pub fn of(&self, key: &[u8]) -> impl DoubleEndedIterator<Item = &Stored> + use<'_> {
        self.keys.get(key).into_iter().flat_map(|versions| versions.iter())
    }

    /// All, in the order of their keys, the oldest of a key first.
    pub fn iter(&self) -> impl Iterator<Item = &Vector<Stored>> + Send + '_ {
        self.keys.values().map(|versions| &**versions)
    }

    /// Forgets the oldest of a key if it is of this revision.
    pub fn forget(&mut self, key: &[u8], revision: Revision) -> Option<Stored> {
        let versions = self.keys.get_mut(key)?;
        versions.front().filter(|oldest| oldest.mod_revision() == revision)?;
        let versions = Arc::make_mut(versions);
        let forgotten = versions.pop_front();
        if versions.is_empty() {
            self.keys.remove(key);
        }
        forgotten
    }

    /// The first key from this one on.
    pub fn key_from(&self, from: &[u8]) -> Option<&[u8]> {
        self.keys.get_next(from).map(|(key, _)| &key[..])
    }

    /// The last key below the end.
    pub fn key_below(&self, end: Bound<&[u8]>) -> Option<&[u8]> {
        self.keys.range::<_, [u8]>((Bound::Unbounded, end)).next_back().map(|(key, _)| &key[..])
    }
}
