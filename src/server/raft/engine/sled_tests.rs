use std::{fs::File, path::Path};

use bytes::Bytes;

use super::{CHUNK_BYTES, Database, key, open_patiently};
use crate::raft::engine::{Mark, Write};

fn record(index: u64, bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at as u64 * 31 + index) as u8).collect::<Vec<u8>>().into()
}

fn append(engine: &Database, index: u64, bytes: usize) {
    engine.take(1, &[Write::Append { index, record: record(index, bytes) }]).unwrap();
}

fn open(directory: &Path) -> Database {
    Database::open(&directory.join("log")).unwrap()
}

#[test]
fn records_of_every_size_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 1, CHUNK_BYTES - 5, CHUNK_BYTES - 4, CHUNK_BYTES - 3, 2 * CHUNK_BYTES - 4, 3 << 20];
    {
        let engine = open(directory.path());
        for (bytes, index) in sizes.into_iter().zip(5..) {
            append(&engine, index, bytes);
        }
        engine.take(1, &[Write::Mark { mark: Mark::Vote, value: Bytes::from_static(b"vote") }]).unwrap();
        engine.make_durable().unwrap();
    }
    let engine = open(directory.path());
    assert_eq!(engine.bounds(0..u64::MAX).unwrap(), Some((5, 11)));
    let expected: Vec<_> = sizes.into_iter().zip(5..).map(|(bytes, index)| (index, record(index, bytes))).collect();
    assert_eq!(engine.read(0..100, usize::MAX).unwrap(), expected);
    assert_eq!(engine.read(6..8, usize::MAX).unwrap(), expected[1..3]);
    assert_eq!(engine.read(7..12, 1).unwrap(), expected[2..3], "one record at least, and no more than asked for");
    assert_eq!(engine.mark(Mark::Vote).unwrap(), Some(Bytes::from_static(b"vote")));
    assert_eq!(engine.mark(Mark::Purged).unwrap(), None);
}

/// Closing syncs, and sled panics where that fails: it would on a disk whose syncs fail.
#[test]
fn after_a_failed_sync_the_database_is_never_closed() {
    for fails in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = open(directory.path());
        append(&engine, 0, 10);
        if fails {
            // A device that can't be synced.
            engine.file = File::open("/dev/null").unwrap();
        }
        assert_eq!(engine.make_durable().is_err(), fails);
        drop(engine);
        // Whoever holds the database holds its lock; sled's threads let go of it a little after a close.
        assert_eq!(open_patiently(&directory.path().join("log")).is_err(), fails);
    }
}

#[test]
fn truncating_and_removing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for index in 0..50 {
        append(&engine, index, 20_000);
    }
    engine.take(1, &[Write::Truncate { from: 40 }, Write::Remove { indexes: 0..10 }]).unwrap();
    assert_eq!(engine.bounds(0..u64::MAX).unwrap(), Some((10, 39)));
    engine.take(1, &[Write::Truncate { from: 0 }]).unwrap();
    assert_eq!(engine.bounds(0..u64::MAX).unwrap(), None);
    append(&engine, 100, 1);
    assert_eq!(engine.bounds(0..u64::MAX).unwrap(), Some((100, 100)));
}

#[test]
fn an_incomplete_last_record_is_dropped_when_opened() {
    let directory = tempfile::tempdir().unwrap();
    {
        let engine = open(directory.path());
        append(&engine, 1, 100);
        append(&engine, 2, 100_000);
        engine.log.remove(key(2, 6)).unwrap();
        engine.make_durable().unwrap();
    }
    let engine = open(directory.path());
    assert_eq!(engine.bounds(0..u64::MAX).unwrap(), Some((1, 1)));
    assert_eq!(engine.read(0..5, usize::MAX).unwrap(), vec![(1, record(1, 100))]);
}

#[test]
fn a_half_written_snapshot_of_sled_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    {
        append(&open(directory.path()), 1, 10);
    }
    std::fs::write(directory.path().join("log/snap.0000000000000000.generating"), b"half").unwrap();
    // A creation that was cut off is begun anew.
    std::fs::create_dir(directory.path().join("other.new")).unwrap();
    std::fs::write(directory.path().join("other.new/conf"), b"half").unwrap();
    assert_eq!(open(directory.path()).bounds(0..u64::MAX).unwrap(), Some((1, 1)));
    assert_eq!(Database::open(&directory.path().join("other")).unwrap().bounds(0..u64::MAX).unwrap(), None);
}

#[test]
fn a_batch_beyond_two_segments_is_synced_on_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let batch: Vec<_> = (0..20).map(|index| Write::Append { index, record: record(index, 2 << 20) }).collect();
    engine.take(1, &batch).unwrap();
    let unsynced = engine.unsynced.load(std::sync::atomic::Ordering::Relaxed);
    assert!(unsynced <= super::UNSYNCED_BYTES_MAX, "{unsynced} bytes are not synced");
    assert_eq!(engine.read(19..20, 1).unwrap(), vec![(19, record(19, 2 << 20))]);
}
