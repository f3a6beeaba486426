//! What stands in the servers' logs, as it is on their disks.

use std::collections::BTreeMap;

use ringfence_server::raft::read_log;
use xxhash_rust::xxh3::xxh3_64;

use super::World;
use crate::history::{self, Log};

/// Terms of records that were read before: most of a log is the same the next time, and on the next disk.
#[derive(Default)]
pub(super) struct Terms(BTreeMap<(u64, u64), u64>);

impl World {
    /// Writes down what is durable on every disk now.
    pub fn record_logs(&self) {
        for id in self.servers() {
            self.record_log(id);
        }
    }

    /// Writes down what is durable on a server's disk now.
    pub fn record_log(&self, id: u64) {
        let Some(disk) = self.disk(id).filter(|_| !self.plan().real_disks) else { return };
        let (records, committed) = read_log::durable(&disk);
        let mut entries = BTreeMap::new();
        let mut inner = self.inner();
        for (index, record) in records {
            let hash = xxh3_64(&record);
            let known = inner.terms.0.get(&(index, hash)).copied();
            // A disk on which a record rots says nothing.
            let read = || read_log::leadership(index, &record).map(|(raft, node)| history::term(raft, node));
            let Some(term) = known.or_else(read) else { return };
            inner.terms.0.insert((index, hash), term);
            entries.insert(index, (term, hash));
        }
        drop(inner);
        let vote = read_log::durable_vote(&disk).map_or(0, |(raft, node)| history::term(raft, node));
        self.recorder().log(Log { server: id, at: self.recorder().now(), entries, committed, vote });
    }
}
