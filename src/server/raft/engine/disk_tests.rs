use std::{fs, io, path::Path};

use bytes::Bytes;
use tempfile::TempDir;

use super::DiskEngine;
use crate::raft::engine::{LogEngine, Mark, Write, tail::TAIL_BYTES};

fn record(index: u64, bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at as u64 * 31 + index) as u8).collect::<Vec<u8>>().into()
}

fn append(index: u64, bytes: usize) -> Write {
    Write::Append { index, record: record(index, bytes) }
}

fn open(directory: &Path) -> io::Result<DiskEngine> {
    DiskEngine::open(&directory.join("log"))
}

fn sync(engine: &DiskEngine, writes: &[Write]) {
    engine.write(writes).unwrap();
    engine.sync().unwrap();
}

fn records(engine: &DiskEngine) -> Vec<(u64, Bytes)> {
    engine.read(0..u64::MAX, usize::MAX).unwrap()
}

/// What is there after a crash now: closing would put everything in its place.
fn crashed(directory: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, to) = {
                let entry = entry.unwrap();
                (entry.path(), to.join(entry.file_name()))
            };
            if path.is_dir() { copy(&path, &to) } else { assert!(fs::copy(&path, &to).is_ok()) }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    copy(directory, copied.path());
    copied
}

#[test]
fn what_was_synced_is_there_after_a_crash_and_after_a_second_one() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    sync(&engine, &[append(1, 100), append(2, 20_000), Write::Mark { mark: Mark::Vote, value: record(0, 9) }]);
    engine.settle().unwrap();
    sync(&engine, &[Write::Truncate { from: 2 }, append(2, 50), append(3, 60)]);
    engine.write(&[append(4, 10)]).unwrap();
    let first = crashed(directory.path());
    let expected = vec![(1, record(1, 100)), (2, record(2, 50)), (3, record(3, 60))];
    for crash in [first.path(), crashed(first.path()).path()] {
        let engine = open(crash).unwrap();
        assert_eq!(records(&engine), expected);
        assert_eq!(engine.mark(Mark::Vote).unwrap(), Some(record(0, 9)));
        sync(&engine, &[append(4, 10), Write::Truncate { from: 4 }]);
    }
}

#[test]
fn the_tail_begins_anew_when_it_is_full_and_what_is_larger_goes_around_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let sizes: Vec<usize> =
        (0..60).map(|number| [90_000, 10, 700_000][number % 3]).chain([TAIL_BYTES + 1, 1, 2]).collect();
    let mut expected = Vec::new();
    for (index, bytes) in (1..).zip(&sizes) {
        sync(&engine, &[append(index, *bytes)]);
        if index % 2 == 0 {
            engine.settle().unwrap();
        }
        expected.push((index, record(index, *bytes)));
        if index % 9 == 0 || *bytes > TAIL_BYTES {
            assert_eq!(records(&open(crashed(directory.path()).path()).unwrap()), expected);
        }
    }
    assert_eq!(records(&open(crashed(directory.path()).path()).unwrap()), expected);
    drop(engine);
    assert_eq!(records(&open(directory.path()).unwrap()), expected);
}

#[test]
fn damage_of_what_was_durable_is_no_torn_end() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    for index in 1..=9 {
        let record = Bytes::from(format!("a record that is easily found: {index}"));
        sync(&engine, &[Write::Append { index, record }]);
    }
    let rotten = crashed(directory.path());
    drop(engine);
    // Closed, it is in the database.
    let in_database = crashed(directory.path());
    fs::remove_file(in_database.path().join("log.tail")).unwrap();
    for (place, file) in [(rotten, "log.tail"), (in_database, "log/db")] {
        let file = place.path().join(file);
        let mut bytes = fs::read(&file).unwrap();
        let words = b"easily found: 5";
        let found: Vec<_> = (0..bytes.len() - words.len()).filter(|at| bytes[*at..].starts_with(words)).collect();
        assert!(!found.is_empty());
        for at in found {
            bytes[at] ^= 1;
        }
        fs::write(&file, bytes).unwrap();
        for _ in 0..2 {
            let error = open(place.path()).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
    }
}

#[test]
fn a_tail_that_is_lost_is_missed_and_one_of_another_time_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    sync(&engine, &[append(1, 10)]);
    let (early, lost) = (crashed(directory.path()), crashed(directory.path()));
    fs::remove_file(lost.path().join("log.tail")).unwrap();
    assert_eq!(open(lost.path()).err().unwrap().kind(), io::ErrorKind::InvalidData);
    drop(engine);
    let engine = open(directory.path()).unwrap();
    sync(&engine, &[append(2, 10)]);
    sync(&engine, &[append(3, 10)]);
    let late = crashed(directory.path());
    for file in ["log.tail", "log.synced"] {
        fs::copy(late.path().join(file), early.path().join(file)).unwrap();
    }
    let error = open(early.path()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("begins with batch 2"), "{error}");
}

#[test]
fn a_database_without_a_tail_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    sync(&open(directory.path()).unwrap(), &[append(1, 10)]);
    fs::remove_file(directory.path().join("log.tail")).unwrap();
    let engine = open(directory.path()).unwrap();
    sync(&engine, &[append(2, 10)]);
    assert_eq!(records(&open(crashed(directory.path()).path()).unwrap()), vec![(1, record(1, 10)), (2, record(2, 10))]);
}
