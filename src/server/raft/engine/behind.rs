//! What is durable in the [tail](super::tail) and not in the database yet.
//!
//! It goes there in the order in which it was written, and only when it must: what is removed from the log before that never does. What was written
//! stays in the tail meanwhile and is read there; here is only where.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
};

use bytes::Bytes;

use super::{
    Mark,
    frame::{Kept, Place},
    sled::Database,
    tail::{TailFile, Written},
};

/// See the module.
///
/// Invariant: a log is what the database has from `low` up to the first of `records`, and then those.
#[derive(Debug, Default)]
pub struct Behind {
    /// Oldest first.
    batches: VecDeque<Written>,
    /// Of consecutive indexes, where their frames begin and where in them they are.
    records: VecDeque<(u64, Place)>,
    /// Index of the first of them.
    first: u64,
    /// Records below this one are removed, wherever they are.
    low: u64,
    /// The newest of each: of which batch, where its frame begins, and where it is in there.
    marks: BTreeMap<Mark, (u64, u64, Place)>,
    /// Of all frames.
    bytes: usize,
}

impl Behind {
    /// Whether these writes can follow here. If not, everything must be in the database before they are.
    pub fn fits(&self, writes: &[Kept]) -> bool {
        let (mut low, mut next) = (self.low, self.next());
        let first = next.map_or(u64::MAX, |_| self.first);
        writes.iter().all(|write| match write {
            Kept::Append { index, .. } => {
                let fits = *index >= low && next.is_none_or(|next| *index == next);
                next = Some(index + 1);
                fits
            }
            Kept::Mark { .. } => true,
            Kept::Truncate { from } => {
                // The database has none of what goes.
                let fits = *from >= low.max(first);
                next = next.map(|next| next.min(*from));
                fits
            }
            Kept::Remove { indexes } => {
                // From the log's beginning on.
                let fits = low == 0 || indexes.start <= low;
                low = low.max(indexes.end);
                next = next.filter(|next| *next > low);
                fits
            }
        })
    }

    /// The index that the next record has, if there are records.
    fn next(&self) -> Option<u64> {
        (!self.records.is_empty()).then(|| self.first + self.records.len() as u64)
    }

    /// Adds a batch whose writes [`Behind::fits`] has found to fit.
    ///
    /// # Errors
    /// Final.
    pub fn add(&mut self, written: Written, database: &Database) -> io::Result<()> {
        for write in &written.kept {
            match write {
                Kept::Append { index, record } => {
                    if self.records.is_empty() {
                        self.first = *index;
                    }
                    self.records.push_back((written.at, *record));
                }
                Kept::Mark { mark, value } => {
                    self.marks.insert(*mark, (written.number, written.at, *value));
                }
                Kept::Remove { indexes } => {
                    self.low = self.low.max(indexes.end);
                    while self.first < self.low && self.records.pop_front().is_some() {
                        self.first += 1;
                    }
                }
                Kept::Truncate { from } => {
                    self.records.truncate(usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX));
                    // Before a power cut it may have taken a part of what is here again.
                    database.cut(*from)?;
                }
            }
        }
        self.bytes += written.bytes;
        self.batches.push_back(written);
        Ok(())
    }

    /// Has the database take a batch as it is, once it has everything else.
    ///
    /// # Errors
    /// Final.
    pub fn take_alone(&mut self, written: &Written, file: &TailFile, database: &Database) -> io::Result<()> {
        self.take_all(file, database)?;
        database.take(written.number, &written.read(file, |_| true)?)
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the record with this index is, if it is here: where its frame begins, and where in there.
    fn record(&self, index: u64) -> Option<&(u64, Place)> {
        self.records.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// A write of a batch has an effect on the log, or on what the database has of it.
    fn counts(&self, write: &Kept, of: &Written) -> bool {
        match write {
            Kept::Append { index, record } => self.record(*index) == Some(&(of.at, *record)),
            Kept::Mark { mark, value } => self.marks.get(mark) == Some(&(of.number, of.at, *value)),
            Kept::Truncate { .. } | Kept::Remove { .. } => true,
        }
    }

    /// The oldest batch has no record that is still in the log.
    fn oldest_is_void(&self) -> bool {
        let appends = |write: &&Kept| matches!(write, Kept::Append { .. });
        self.batches
            .front()
            .is_some_and(|oldest| !oldest.kept.iter().filter(appends).any(|write| self.counts(write, oldest)))
    }

    /// Has the database take the oldest batches that have no record in the log any more, until it has removed so many pieces of records. True
    /// if there are more.
    ///
    /// # Errors
    /// Final.
    pub fn take_void(&mut self, mut pieces_max: usize, file: &TailFile, database: &Database) -> io::Result<bool> {
        while self.oldest_is_void() {
            for write in self.batches.front_mut().into_iter().flat_map(|oldest| &mut oldest.kept) {
                let Kept::Remove { indexes } = write else { continue };
                // What a power cut undoes of it is done again with the whole batch.
                indexes.start = database.remove(indexes.clone(), &mut pieces_max)?;
                if pieces_max == 0 {
                    return Ok(true);
                }
            }
            self.take_oldest(file, database)?;
        }
        Ok(false)
    }

    /// Has the database take the oldest batch, or what still counts of it. False if there is none.
    ///
    /// # Errors
    /// Final.
    pub fn take_oldest(&mut self, file: &TailFile, database: &Database) -> io::Result<bool> {
        let Some(oldest) = self.batches.front() else { return Ok(false) };
        database.take(oldest.number, &oldest.read(file, |write| self.counts(write, oldest))?)?;
        self.forget_oldest();
        Ok(true)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.batches.pop_front() else { return };
        self.bytes -= oldest.bytes;
        for write in oldest.kept {
            if let Kept::Append { record, .. } = write
                && self.records.pop_front_if(|first| *first == (oldest.at, record)).is_some()
            {
                self.first += 1;
            }
        }
        self.marks.retain(|_, (number, ..)| *number > oldest.number);
    }

    /// Has the database take everything.
    ///
    /// # Errors
    /// Final.
    pub fn take_all(&mut self, file: &TailFile, database: &Database) -> io::Result<()> {
        while self.take_oldest(file, database)? {}
        self.low = 0;
        Ok(())
    }

    /// See [`LogEngine::read`](super::LogEngine::read).
    ///
    /// # Errors
    /// As there.
    pub fn read(
        &self,
        indexes: Range<u64>,
        bytes_max: usize,
        file: &TailFile,
        database: &Database,
    ) -> io::Result<Vec<(u64, Bytes)>> {
        let start = indexes.start.max(self.low);
        let (first, next) = self.next().map_or((u64::MAX, u64::MAX), |next| (self.first, next));
        let mut records = database.read(start..indexes.end.min(first), bytes_max)?;
        let mut bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
        for index in start.max(first)..indexes.end.min(next) {
            if bytes >= bytes_max && !records.is_empty() {
                break;
            }
            let Some((at, place)) = self.record(index) else { break };
            let record = file.read(*at, *place)?;
            bytes += record.len();
            records.push((index, record));
        }
        Ok(records)
    }

    /// See [`LogEngine::bounds`](super::LogEngine::bounds).
    ///
    /// # Errors
    /// As there.
    pub fn bounds(&self, database: &Database) -> io::Result<Option<(u64, u64)>> {
        let before = database.bounds(self.low..self.next().map_or(u64::MAX, |_| self.first))?;
        let here = self.next().map(|next| (self.first, next - 1));
        Ok(match (before, here) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (before, here) => before.or(here),
        })
    }

    /// See [`LogEngine::mark`](super::LogEngine::mark).
    ///
    /// # Errors
    /// As there.
    pub fn mark(&self, mark: Mark, file: &TailFile, database: &Database) -> io::Result<Option<Bytes>> {
        match self.marks.get(&mark) {
            Some((_, at, value)) => file.read(*at, *value).map(Some),
            None => database.mark(mark),
        }
    }
}
