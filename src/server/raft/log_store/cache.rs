//! The newest entries of the log, in memory: what replication and applying read nearly always.

use std::{collections::VecDeque, ops::Range};

use crate::raft::types::{LogEntry, Payload};

/// Bytes that the cache keeps once they are durable. A follower that lags by more is served from the disk.
const CACHE_BYTES_MAX: usize = 8 << 20;

/// Consecutive entries up to the end of the log.
#[derive(Default)]
pub struct Cache {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    /// Entries below this index are on the disk.
    durable: u64,
}

impl Cache {
    /// Index of the first entry here, if there is one.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    /// Adds the next entry.
    pub fn push(&mut self, entry: LogEntry) {
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// Everything up to this index is on the disk: some of it may go from here.
    pub fn durable(&mut self, index: u64) {
        self.durable = self.durable.max(index.saturating_add(1));
        while self.bytes > CACHE_BYTES_MAX && self.first().is_some_and(|first| first < self.durable) {
            self.pop_front();
        }
    }

    /// Forgets this entry and all after it.
    pub fn truncate(&mut self, from: u64) {
        while self.entries.back().is_some_and(|entry| entry.log_id.index >= from) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= weight(&entry);
            }
        }
        self.durable = self.durable.min(from);
    }

    /// Forgets this entry and all before it.
    pub fn purge(&mut self, upto: u64) {
        while self.first().is_some_and(|first| first <= upto) {
            self.pop_front();
        }
    }

    /// Entries of these indexes, until their bytes pass the limit.
    pub fn read(&self, indexes: Range<u64>, bytes_max: usize) -> Vec<LogEntry> {
        let Some(first) = self.first() else { return Vec::new() };
        let Some(skip) = indexes.start.checked_sub(first) else { return Vec::new() };
        let mut bytes = 0;
        let within = self.entries.iter().skip(skip as usize).take_while(|entry| {
            let room = entry.log_id.index < indexes.end && bytes < bytes_max;
            bytes += size(entry);
            room
        });
        within.cloned().collect()
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= weight(&entry);
        }
    }
}

/// About the bytes of an entry on the wire.
pub fn size(entry: &LogEntry) -> usize {
    match &entry.payload {
        Payload::Normal(proposal) => proposal.bytes.len() + 32,
        Payload::Blank | Payload::Membership(_) => 64,
    }
}

/// About the bytes of an entry in memory: the encoded one, and the decoded one that it carries along, whose requests are slices of that.
fn weight(entry: &LogEntry) -> usize {
    const ENTRY: usize = 384;
    const REQUEST: usize = 512;
    let requests = match &entry.payload {
        Payload::Normal(proposal) => proposal.entry.requests.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    };
    size(entry) + ENTRY + REQUEST * requests
}
