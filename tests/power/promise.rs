//! What must be there after a power cut: all that was acknowledged, and nothing that nobody wrote.

use std::{collections::BTreeMap, fmt::Display};

/// What makes an entry: its term, and a checksum of what it holds.
pub type Entry = (u64, u32);

/// A step of the work. Once it is acknowledged, a power cut must not take it back.
#[derive(Clone, Debug)]
pub enum Step {
    /// Open the data directory.
    Open,
    /// Save a vote of this term.
    Vote(u64),
    /// Append entries from this index on.
    Append {
        /// Index of the first.
        first: u64,
        /// Their term.
        term: u64,
        /// Bytes of each.
        sizes: Vec<usize>,
        /// Their checksums.
        sums: Vec<u32>,
    },
    /// Note how far the log is committed. Nobody waits for that.
    Committed(u64),
    /// Remove this entry and all after it.
    Truncate {
        /// The first that goes.
        from: u64,
    },
    /// Write a snapshot that covers all up to this index.
    Snapshot(u64),
    /// Remove this entry and all before it.
    Purge(u64),
}

/// What was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    /// The last purged entry.
    pub purged: Option<(u64, u64)>,
    /// By index, after the purged ones.
    pub entries: BTreeMap<u64, Entry>,
    /// Term of the vote.
    pub vote: Option<u64>,
    /// How far the log is committed.
    pub committed: Option<u64>,
    /// What the snapshots cover, the newest last.
    pub snapshots: Vec<u64>,
}

/// What was found in an image.
#[derive(Debug)]
pub struct Found {
    /// Index and term of the last purged entry.
    pub purged: Option<(u64, u64)>,
    /// In order.
    pub entries: Vec<(u64, Entry)>,
    /// Term of the vote.
    pub vote: Option<u64>,
    /// What the newest whole snapshot covers, and whether its contents are what was written for that index.
    pub snapshot: Option<(u64, bool)>,
}

impl Promise {
    /// Index of the last entry, purged or not.
    pub fn last(&self) -> Option<u64> {
        self.entries.keys().next_back().copied().or(self.purged.map(|(index, _)| index))
    }

    /// The term of an entry, purged or not.
    pub fn term(&self, index: u64) -> Option<u64> {
        let entry = self.entries.get(&index).map(|(term, _)| *term);
        entry.or_else(|| self.purged.filter(|purged| purged.0 == index).map(|(_, term)| term))
    }

    /// A step was acknowledged.
    pub fn add(&mut self, step: &Step) {
        match step {
            Step::Open => {}
            Step::Vote(term) => self.vote = Some(*term),
            Step::Append { first, term, sums, .. } => {
                self.entries.extend((*first..).zip(sums.iter().map(|sum| (*term, *sum))));
            }
            Step::Committed(index) => self.committed = Some(*index),
            Step::Truncate { from } => {
                self.entries.split_off(from);
            }
            Step::Snapshot(index) => self.snapshots.push(*index),
            Step::Purge(upto) => {
                if let Some(term) = self.term(*upto) {
                    self.purged = Some((*upto, term));
                    self.entries = self.entries.split_off(&(upto + 1));
                }
            }
        }
    }

    /// What was found is what must still be there once it was shown: a member tells others of it.
    pub fn from_found(found: &Found) -> Self {
        Self {
            purged: found.purged,
            entries: found.entries.iter().copied().collect(),
            vote: found.vote,
            committed: found.snapshot.map(|(index, _)| index).max(found.purged.map(|(index, _)| index)),
            snapshots: found.snapshot.iter().map(|(index, _)| *index).collect(),
        }
    }

    /// Holds what was found against this. The step that was being done may have been done, or partly where it has parts. The newest snapshot
    /// may have been torn on purpose: then the one before it counts.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn check(&self, doing: Option<&Step>, found: &Found, torn: bool) -> Result<(), String> {
        let mut after = self.clone();
        if let Some(step) = doing {
            after.add(step);
        }
        one_of("the vote is of term", found.vote, self.vote, after.vote)?;
        one_of("the log is purged up to", found.purged, self.purged, after.purged)?;
        self.check_entries(&after, doing, found)?;
        self.check_snapshot(&after, found, torn)
    }

    fn check_entries(&self, after: &Self, doing: Option<&Step>, found: &Found) -> Result<(), String> {
        let first = found.purged.map_or(0, |(index, _)| index + 1);
        for (expected, (index, _)) in (first..).zip(&found.entries) {
            if *index != expected {
                return Err(format!("entry {expected} is missing, and {index} comes after it"));
            }
        }
        let last = found.entries.last().map(|(index, _)| *index).or(found.purged.map(|(index, _)| index));
        let (low, high) = (self.last().min(after.last()), self.last().max(after.last()));
        if last < low {
            let what = format!("the log ends at {}, and {} was acknowledged", shown(last), shown(low));
            return Err(if found.entries.is_empty() { format!("{what}; there are no entries at all") } else { what });
        }
        if last > high {
            return Err(format!("the log ends at {}, and nothing after {} was written", shown(last), shown(high)));
        }
        for (index, entry) in &found.entries {
            let before = self.entries.get(index);
            let appended = doing.is_some().then(|| after.entries.get(index)).flatten();
            if Some(entry) != before && Some(entry) != appended {
                return Err(format!("entry {index} isn't what was written: term {}", entry.0));
            }
        }
        Ok(())
    }

    fn check_snapshot(&self, after: &Self, found: &Found, torn: bool) -> Result<(), String> {
        let index = found.snapshot.map(|(index, _)| index);
        if torn {
            let previous = self.snapshots.iter().rev().nth(1).copied();
            if index != previous {
                return Err(format!(
                    "the newest snapshot is torn, and {} is used instead of {}",
                    shown(index),
                    shown(previous)
                ));
            }
        } else {
            one_of(
                "the newest snapshot covers",
                index,
                self.snapshots.last().copied(),
                after.snapshots.last().copied(),
            )?;
        }
        if found.snapshot.is_some_and(|(_, right)| !right) {
            return Err(format!("the snapshot up to {} doesn't say what was written", shown(index)));
        }
        match (found.purged, index) {
            (Some((purged, _)), covered) if covered.is_none_or(|covered| covered < purged) => {
                Err(format!("the log is purged up to {purged}, and the newest snapshot covers {}", shown(covered)))
            }
            _ => Ok(()),
        }
    }
}

fn one_of<T: PartialEq + Present>(what: &str, found: T, before: T, after: T) -> Result<(), String> {
    if found == before || found == after {
        return Ok(());
    }
    let or = if before == after { String::new() } else { format!(" or {}", after.shown()) };
    Err(format!("{what} {}, and {}{or} was acknowledged", found.shown(), before.shown()))
}

/// Something that may be absent, in words.
trait Present {
    fn shown(&self) -> String;
}

impl Present for Option<u64> {
    fn shown(&self) -> String {
        shown(*self)
    }
}

impl Present for Option<(u64, u64)> {
    fn shown(&self) -> String {
        shown(self.map(|(index, _)| index))
    }
}

fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promised() -> Promise {
        let mut promise = Promise::default();
        promise.add(&Step::Vote(3));
        promise.add(&Step::Append { first: 0, term: 3, sizes: vec![1; 6], sums: vec![9; 6] });
        for step in [Step::Snapshot(1), Step::Snapshot(3), Step::Purge(1)] {
            promise.add(&step);
        }
        promise
    }

    fn kept() -> Found {
        let entries = (2..6).map(|index| (index, (3, 9))).collect();
        Found { purged: Some((1, 3)), entries, vote: Some(3), snapshot: Some((3, true)) }
    }

    #[test]
    fn what_was_acknowledged_and_what_was_being_done_are_right() {
        let promise = promised();
        promise.check(None, &kept(), false).unwrap();
        let appending = Step::Append { first: 6, term: 3, sizes: vec![1; 2], sums: vec![8; 2] };
        let mut found = kept();
        promise.check(Some(&appending), &found, false).unwrap();
        found.entries.push((6, (3, 8)));
        promise.check(Some(&appending), &found, false).unwrap();
        found.entries.truncate(1);
        promise.check(Some(&Step::Truncate { from: 3 }), &found, false).unwrap();
        found = Found { vote: Some(4), ..kept() };
        promise.check(Some(&Step::Vote(4)), &found, false).unwrap();
        found = Found { snapshot: Some((1, true)), ..kept() };
        promise.check(None, &found, true).unwrap();
    }

    #[test]
    fn every_loss_is_seen() {
        let all = kept().entries;
        let losses = [
            Found { vote: None, ..kept() },
            Found { vote: Some(4), ..kept() },
            Found { purged: None, ..kept() },
            Found { entries: all[..3].to_vec(), ..kept() },
            Found { entries: all[1..].to_vec(), ..kept() },
            Found { entries: [&all[..1], &all[2..]].concat(), ..kept() },
            Found { entries: [&all[..], &[(6, (3, 9))]].concat(), ..kept() },
            Found { entries: [&all[..3], &[(5, (3, 8))]].concat(), ..kept() },
            Found { entries: Vec::new(), ..kept() },
            Found { snapshot: None, ..kept() },
            Found { snapshot: Some((1, true)), ..kept() },
            Found { snapshot: Some((3, false)), ..kept() },
        ];
        for loss in losses {
            assert!(promised().check(None, &loss, false).is_err(), "{loss:?}");
        }
        assert!(promised().check(None, &kept(), true).is_err(), "a torn snapshot was used");
    }
}
