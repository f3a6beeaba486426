//! Reads the log on a simulated disk from outside, for who checks it.

use bytes::Bytes;
use ringfence_proto::storage as pb;

use super::{
    MemoryDisk,
    engine::Mark,
    log_store::record::{open_entry, open_mark},
};

/// The records that are durable now, by index, and the index up to which the durable mark says that they are committed (0: none).
pub fn durable(disk: &MemoryDisk) -> (Vec<(u64, Bytes)>, u64) {
    let (records, committed) = disk.durable(Mark::Committed);
    let committed = committed.and_then(|value| open_mark::<pb::LogId>(Mark::Committed, &value).ok());
    (records, committed.map_or(0, |id| id.index))
}

/// The term of the vote that is durable now, and for whom it is; `None` if there is none.
pub fn durable_vote(disk: &MemoryDisk) -> Option<(u64, u64)> {
    let (_, vote) = disk.durable(Mark::Vote);
    let vote = vote.and_then(|value| open_mark::<pb::Vote>(Mark::Vote, &value).ok())?;
    Some((vote.term, vote.node))
}

/// In which term a record was proposed, and by whom; `None` if it is damaged.
pub fn leadership(index: u64, record: &Bytes) -> Option<(u64, u64)> {
    let leader = open_entry(index, record).ok()?.log_id.leader_id;
    Some((leader.term, leader.node_id))
}
