//! The keyspace's invariants, checked one by one.

use std::collections::BTreeSet;

use super::{Keyspace, Stored, name};
use crate::command::Revision;

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
        let mut before: Option<&Stored> = None;
        for versions in self.older.iter() {
            for version in versions {
                bytes += version.size() as u64;
                later += usize::from(version.mod_revision() > self.compacted);
                self.verify_version(version, before)?;
                before = Some(version);
            }
        }
        for version in &self.live {
            bytes += version.size() as u64;
            later += usize::from(version.mod_revision() > self.compacted);
            self.verify_version(version, self.older.newest(version.key()))?;
            if version.is_deleted() {
                return Err(format!("live key {} is not its newest version", name(version.key())));
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
                let known = self.version_at(version.key(), revision);
                let same = known.is_some_and(|known| known.is(version));
                if version.mod_revision() != revision || !same || !keys.insert(version.key()) {
                    return Err(format!("key {} is wrongly listed in revision {revision}", name(version.key())));
                }
            }
            listed += made.versions().len();
        }
        Ok(listed)
    }

    fn verify_version(&self, version: &Stored, before: Option<&Stored>) -> Result<(), String> {
        let (key, facts) = (version.key(), version.facts());
        let revision = facts.mod_revision;
        let what = || format!("key {} in revision {revision}", name(key));
        let before = before.filter(|before| before.key() == key);
        if revision == 0 || revision > self.revision || before.is_some_and(|before| before.mod_revision() >= revision) {
            return Err(format!("{}: revision out of place", what()));
        }
        if revision <= self.compacted && (facts.deleted || before.is_some()) {
            return Err(format!("{}: should have been compacted", what()));
        }
        let follows = match before.map(Stored::facts).filter(|before| !before.deleted) {
            alive if facts.deleted => alive.is_some(),
            Some(before) => {
                (facts.create_revision, facts.version) == (before.create_revision, before.version.saturating_add(1))
            }
            None if revision > self.compacted => (facts.create_revision, facts.version) == (revision, 1),
            None => facts.create_revision <= revision && facts.version >= 1,
        };
        if !follows {
            return Err(format!("{}: does not follow from the version before", what()));
        }
        let last = self.version_at(key, Revision::MAX).is_some_and(|newest| newest.mod_revision() == revision);
        if last && self.live.contains(key) == facts.deleted {
            return Err(format!("{}: newest version and live keys disagree", what()));
        }
        Ok(())
    }
}
