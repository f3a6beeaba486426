use std::{fs, io, path::Path};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use super::{DiskEngine, SEGMENT_BYTES};
use crate::raft::engine::{LogEngine, Mark, Write};

/// A tail of one segment, after which everything goes into the database at once, and tails with which some, or hardly anything, does.
const TAILS: [u64; 4] = [0, 2 * SEGMENT_BYTES as u64, 4 * SEGMENT_BYTES as u64, 1 << 30];

fn record(index: u64, bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at as u64 * 31 + index) as u8).collect::<Vec<u8>>().into()
}

fn append(index: u64, bytes: usize) -> Write {
    Write::Append { index, record: record(index, bytes) }
}

fn open_with(directory: &Path, tail_bytes_max: u64) -> io::Result<DiskEngine> {
    DiskEngine::open(&directory.join("log"), tail_bytes_max)
}

fn open(directory: &Path) -> io::Result<DiskEngine> {
    open_with(directory, 0)
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
    for tail in TAILS {
        let directory = tempfile::tempdir().unwrap();
        let engine = open_with(directory.path(), tail).unwrap();
        sync(&engine, &[append(1, 100), append(2, 20_000), Write::Mark { mark: Mark::Vote, value: record(0, 9) }]);
        engine.settle().unwrap();
        sync(&engine, &[Write::Truncate { from: 2 }, append(2, 50), append(3, 60)]);
        engine.write(&[append(4, 10)]).unwrap();
        let first = crashed(directory.path());
        let expected = vec![(1, record(1, 100)), (2, record(2, 50)), (3, record(3, 60))];
        for crash in [first.path(), crashed(first.path()).path()] {
            let engine = open_with(crash, tail).unwrap();
            assert_eq!(records(&engine), expected);
            assert_eq!(engine.mark(Mark::Vote).unwrap(), Some(record(0, 9)));
            sync(&engine, &[append(4, 10), Write::Truncate { from: 4 }]);
        }
    }
}

#[test]
fn the_tail_goes_on_elsewhere_when_it_is_full_and_what_is_larger_goes_around_it() {
    for tail in TAILS {
        let directory = tempfile::tempdir().unwrap();
        let engine = open_with(directory.path(), tail).unwrap();
        let sizes: Vec<usize> =
            (0..60).map(|number| [90_000, 10, 700_000][number % 3]).chain([SEGMENT_BYTES + 1, 1, 2]).collect();
        let mut expected = Vec::new();
        for (index, bytes) in (1..).zip(&sizes) {
            sync(&engine, &[append(index, *bytes)]);
            if index % 2 == 0 {
                engine.settle().unwrap();
            }
            expected.push((index, record(index, *bytes)));
            if index % 19 == 0 || *bytes > SEGMENT_BYTES {
                assert!(records(&open_with(crashed(directory.path()).path(), tail).unwrap()) == expected);
            }
        }
        // Whoever allows it less, or more, finds the same.
        for other in TAILS {
            assert!(records(&open_with(crashed(directory.path()).path(), other).unwrap()) == expected);
        }
        drop(engine);
        assert!(records(&open_with(directory.path(), tail).unwrap()) == expected);
    }
}

#[test]
fn more_than_a_frame_holds_is_cut_into_several() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with(directory.path(), 1 << 30).unwrap();
    let writes: Vec<Write> = (1..=20).map(|index| append(index, 700_000)).collect();
    sync(&engine, &writes);
    let expected: Vec<_> = (1..=20).map(|index| (index, record(index, 700_000))).collect();
    assert!(records(&engine) == expected);
    assert_eq!(engine.database.bounds(0..u64::MAX).unwrap(), None);
    assert!(records(&open(crashed(directory.path()).path()).unwrap()) == expected);
}

#[test]
fn what_is_truncated_soon_enough_never_goes_into_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with(directory.path(), 1 << 30).unwrap();
    sync(&engine, &[append(1, 10), append(2, 20), append(3, 30)]);
    sync(&engine, &[append(4, 40)]);
    sync(&engine, &[Write::Truncate { from: 2 }, append(2, 21)]);
    sync(&engine, &[append(3, 31), append(4, 41)]);
    sync(&engine, &[Write::Truncate { from: 4 }]);
    let expected = vec![(1, record(1, 10)), (2, record(2, 21)), (3, record(3, 31))];
    assert!(records(&engine) == expected);
    assert_eq!(engine.bounds().unwrap(), Some((1, 3)));
    assert_eq!(engine.database.bounds(0..u64::MAX).unwrap(), None);
    assert!(records(&open(crashed(directory.path()).path()).unwrap()) == expected);
    // Nor does it when the database must take everything.
    sync(&engine, &[Write::Truncate { from: 1 }, append(1, 11)]);
    sync(&engine, &[append(2, SEGMENT_BYTES + 1)]);
    assert!(records(&engine) == vec![(1, record(1, 11)), (2, record(2, SEGMENT_BYTES + 1))]);
    assert_eq!(engine.database.bounds(0..u64::MAX).unwrap(), Some((1, 2)));
}

#[test]
fn what_is_truncated_is_gone_even_if_the_database_had_a_part_of_it_before_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with(directory.path(), 2 * SEGMENT_BYTES as u64).unwrap();
    for batch in [1..=5, 6..=10] {
        sync(&engine, &batch.map(|index| append(index, 700_000)).collect::<Vec<_>>());
        engine.settle().unwrap();
    }
    let crashed = crashed(directory.path());
    let engine = open_with(crashed.path(), 1 << 30).unwrap();
    let (_, last) = engine.database.bounds(0..u64::MAX).unwrap().unwrap();
    assert!((6..10).contains(&last), "{last}");
    sync(&engine, &[Write::Truncate { from: 6 }]);
    assert_eq!(engine.bounds().unwrap(), Some((1, 5)));
    sync(&engine, &[append(6, 10)]);
    assert_eq!(records(&engine).last(), Some(&(6, record(6, 10))));
}

#[test]
fn what_the_database_has_is_removed_some_at_a_time_and_after_a_crash_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let small: Vec<Write> = (1..=100).map(|index| append(index, 10)).collect();
    sync(&engine, &small);
    sync(&engine, &[append(101, SEGMENT_BYTES + 1)]);
    sync(&engine, &[Write::Remove { indexes: 1..101 }]);
    let mut before = 1;
    while engine.settle().unwrap().more {
        let (first, _) = engine.database.bounds(0..u64::MAX).unwrap().unwrap();
        assert!((before + 1..=before + 16).contains(&first), "{first} after {before}");
        before = first;
        assert_eq!(engine.bounds().unwrap(), Some((101, 101)));
        let again = open(crashed(directory.path()).path()).unwrap();
        assert_eq!(again.bounds().unwrap(), Some((101, 101)));
    }
    assert_eq!(engine.database.bounds(0..u64::MAX).unwrap(), Some((101, 101)));
}

#[test]
fn what_is_removed_soon_enough_never_goes_into_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with(directory.path(), 1 << 30).unwrap();
    let words = b"easily found";
    let mut expected = Vec::new();
    for index in 1..=600 {
        let mut bytes = record(index, 20_000).to_vec();
        bytes[..words.len()].copy_from_slice(words);
        let (index, record) = (index, Bytes::from(bytes));
        expected.push((index, record.clone()));
        sync(&engine, &[Write::Append { index, record }]);
        if index % 100 == 0 {
            let first = expected.remove(0).0;
            expected.drain(..79);
            sync(&engine, &[Write::Remove { indexes: first..first + 80 }]);
        }
        engine.settle().unwrap();
    }
    assert!(records(&engine) == expected);
    assert_eq!(engine.bounds().unwrap(), Some((481, 600)));
    // It was used again: six times a hundred wouldn't fit.
    assert!(engine.file.bytes() <= 3 * SEGMENT_BYTES as u64, "{}", engine.file.bytes());
    assert!(records(&open(crashed(directory.path()).path()).unwrap()) == expected);
    drop(engine);
    let database = fs::read(directory.path().join("log/db")).unwrap();
    assert!(!database.windows(words.len()).any(|found| found == words));
    assert!(records(&open_with(directory.path(), 1 << 30).unwrap()) == expected);
}

/// What a log must hold.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model {
    records: std::collections::BTreeMap<u64, Bytes>,
    mark: Option<Bytes>,
    next: u64,
}

impl Model {
    fn step(&mut self, rng: &mut SmallRng) -> Vec<Write> {
        let first = self.records.first_key_value().map_or(self.next, |(first, _)| *first);
        match rng.random_range(0..20) {
            0 => {
                let from = rng.random_range(first..=self.next);
                self.records.split_off(&from);
                self.next = from;
                vec![Write::Truncate { from }]
            }
            1..=3 => {
                let end = rng.random_range(first..=self.next);
                self.records = self.records.split_off(&end);
                vec![Write::Remove { indexes: first..end }]
            }
            4 if self.records.is_empty() => {
                self.next += rng.random_range(0..9);
                vec![]
            }
            5..=7 => {
                let value = record(self.next, 30);
                self.mark = Some(value.clone());
                vec![Write::Mark { mark: Mark::Committed, value }]
            }
            _ => {
                let appended = (0..rng.random_range(1..4)).map(|_| {
                    let index = self.next;
                    self.next += 1;
                    let bytes = [10, 3_000, 40_000, 400_000, 1_500_000][rng.random_range(0..5)];
                    let record: Bytes = record(index + rng.random_range(0..200), bytes);
                    self.records.insert(index, record.clone());
                    Write::Append { index, record }
                });
                appended.collect()
            }
        }
    }

    fn check(&self, engine: &DiskEngine) {
        let expected: Vec<_> = self.records.iter().map(|(index, record)| (*index, record.clone())).collect();
        assert!(records(engine) == expected);
        let bounds = expected.first().zip(expected.last()).map(|((first, _), (last, _))| (*first, *last));
        assert_eq!(engine.bounds().unwrap(), bounds);
        assert_eq!(engine.mark(Mark::Committed).unwrap(), self.mark);
    }
}

#[test]
fn whatever_is_done_it_holds_what_it_must_before_and_after_crashes() {
    for (seed, tail) in (0..).zip(TAILS.into_iter().cycle()).take(8) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut directory = tempfile::tempdir().unwrap();
        let mut engine = open_with(directory.path(), tail).unwrap();
        let mut model = Model { next: 1, ..Model::default() };
        for _ in 0..80 {
            let steps = rng.random_range(1..3);
            let writes: Vec<Write> = (0..steps).flat_map(|_| model.step(&mut rng)).collect();
            sync(&engine, &writes);
            if rng.random_bool(0.7) {
                engine.settle().unwrap();
            }
            match rng.random_range(0..20) {
                0 => {
                    let crashed = crashed(directory.path());
                    drop(engine);
                    directory = crashed;
                    engine = open_with(directory.path(), tail).unwrap();
                }
                1 => {
                    drop(engine);
                    engine = open_with(directory.path(), tail).unwrap();
                }
                2 => model.check(&engine),
                _ => {}
            }
        }
        model.check(&engine);
    }
}

#[test]
fn damage_of_what_was_durable_is_no_torn_end() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    for index in 1..=9 {
        let record = Bytes::from(format!("a record that is easily found: {index}"));
        sync(&engine, &[Write::Append { index, record }]);
        engine.settle().unwrap();
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
    engine.settle().unwrap();
    let (early, lost) = (crashed(directory.path()), crashed(directory.path()));
    fs::remove_file(lost.path().join("log.tail")).unwrap();
    assert_eq!(open(lost.path()).err().unwrap().kind(), io::ErrorKind::InvalidData);
    drop(engine);
    let engine = open(directory.path()).unwrap();
    sync(&engine, &[append(2, 10)]);
    sync(&engine, &[append(3, 10)]);
    engine.settle().unwrap();
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
