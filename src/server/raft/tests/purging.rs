//! The log is purged while somebody reads it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::StreamExt;
use openraft::{RaftLogReader, storage::RaftLogStorage};

use super::conformance::build;
use crate::raft::{
    DataPlace, MemoryDisk,
    log_store::{LogStore, PURGED_UNDER},
    types::{Flushed, LeaderId, LogEntry, LogId, Payload},
};

fn id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
}

/// With entries 0 to 9, of which 0 to 4 are purged.
async fn purged() -> LogStore {
    let (mut log, _) = build(DataPlace::Memory(MemoryDisk::new()));
    let entries = (0..10).map(|index| LogEntry { log_id: id(index), payload: Payload::Blank });
    log.append(entries, Flushed::noop()).await.unwrap();
    log.purge(id(4)).await.unwrap();
    log
}

fn indexes(entries: &[LogEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn replication_never_gets_entries_behind_a_hole() {
    let mut log = purged().await;
    assert_eq!(indexes(&log.limited_get_log_entries(5, 10).await.unwrap()), [5, 6, 7, 8, 9]);
    let told = Arc::new(AtomicBool::new(false));
    let found = PURGED_UNDER.scope(told.clone(), log.limited_get_log_entries(5, 10)).await.unwrap();
    assert_eq!((found.len(), told.load(Ordering::Acquire)), (5, false));
    let found = PURGED_UNDER.scope(told.clone(), log.limited_get_log_entries(4, 10)).await.unwrap();
    assert_eq!(indexes(&found), [0; 0], "entry 4 is gone, and 5 isn't the next one after 3");
    assert!(told.load(Ordering::Acquire), "the stream hears that it can't go on");
}

#[tokio::test]
async fn what_is_gone_is_missing_at_the_beginning_only() {
    let mut log = purged().await;
    assert_eq!(indexes(&log.try_get_log_entries(2..8).await.unwrap()), [5, 6, 7]);
    assert_eq!(indexes(&log.try_get_log_entries(0..3).await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn what_is_to_be_applied_must_be_there() {
    let mut log = purged().await;
    let whole: Vec<_> = log.entries_stream(5..9).await.collect().await;
    assert!(whole.len() == 4 && whole.iter().all(Result::is_ok), "{whole:?}");
    let broken: Vec<_> = log.entries_stream(3..9).await.collect().await;
    assert!(matches!(&broken[..], [Err(error)] if error.to_string().contains("index 3")), "{broken:?}");
}
