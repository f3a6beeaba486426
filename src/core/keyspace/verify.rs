//! The keyspace's invariants, checked one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Keyspace, name, size};
use crate::command::Revision;
use crate::snapshot::Version;

impl Keyspace {
    /// Checks the invariants of the module. O(n log n).
    ///
    /// # Errors
    /// Which one is broken.
    pub fn verify(&self) -> Result<(), String> {
        if self.compacted > self.revision {
            return Err(format!("compacted {} is above revision {}", self.compacted, self.revision));
        }
        let mut bytes = 0_u64;
        let mut later = 0;
        let mut before: Option<&Arc<Version>> = None;
        for versions in self.older.iter() {
            for version in versions {
                bytes += size(version);
                later += usize::from(version.mod_revision > self.compacted);
                self.verify_version(version, before)?;
                before = Some(version);
            }
        }
        for (key, version) in &self.live {
            bytes += size(version);
            later += usize::from(version.mod_revision > self.compacted);
            self.verify_version(version, self.older.newest(key))?;
            if version.deleted || version.key != *key {
                return Err(format!("live key {} is not its newest version", name(key)));
            }
        }
        let listed = self.verify_revisions()?;
        if listed != later || bytes != self.bytes {
            return Err(format!("{listed} versions in revisions for {later}, {bytes} bytes for {}", self.bytes));
        }
        Ok(())
    }

    fn verify_revisions(&self) -> Result<usize, String> {
        let mut listed = 0;
        let mut newest = self.compacted;
        for made in &self.revisions {
            let (mut keys, revision) = (BTreeSet::new(), made.revision());
            if revision <= newest {
                return Err(format!("revision {revision} comes after revision {newest}"));
            }
            newest = revision;
            for version in made.versions() {
                let known = self.version_at(&version.key, revision);
                let same = known.is_some_and(|known| Arc::ptr_eq(known, version));
                if version.mod_revision != revision || !same || !keys.insert(&version.key) {
                    return Err(format!("key {} is wrongly listed in revision {revision}", name(&version.key)));
                }
            }
            listed += made.versions().len();
        }
        Ok(listed)
    }

    fn verify_version(&self, version: &Version, before: Option<&Arc<Version>>) -> Result<(), String> {
        let (key, revision) = (&version.key, version.mod_revision);
        let what = || format!("key {} in revision {revision}", name(key));
        let before = before.filter(|before| before.key == *key);
        if revision == 0 || revision > self.revision || before.is_some_and(|before| before.mod_revision >= revision) {
            return Err(format!("{}: revision out of place", what()));
        }
        if revision <= self.compacted && (version.deleted || before.is_some()) {
            return Err(format!("{}: should have been compacted", what()));
        }
        let follows = match before.filter(|before| !before.deleted) {
            _ if version.deleted => before.is_some_and(|before| !before.deleted),
            Some(before) => {
                (version.create_revision, version.version) == (before.create_revision, before.version.saturating_add(1))
            }
            None if revision > self.compacted => (version.create_revision, version.version) == (revision, 1),
            None => version.create_revision <= revision && version.version >= 1,
        };
        if !follows {
            return Err(format!("{}: does not follow from the version before", what()));
        }
        let last = self.version_at(key, Revision::MAX).is_some_and(|newest| newest.mod_revision == revision);
        if last && self.live.contains_key(&key[..]) == version.deleted {
            return Err(format!("{}: newest version and live keys disagree", what()));
        }
        Ok(())
    }
}
