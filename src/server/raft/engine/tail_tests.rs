use std::{os::unix::fs::FileExt, path::Path};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Placed, SEGMENT_BYTES, Tail, Written, begin_of};
use crate::raft::engine::{
    Mark, Write,
    frame::{Batch, decode},
};

/// With all that follows this batch.
fn open(directory: &Path, segments_max: u64, number: u64) -> (Tail, Vec<Written>) {
    Tail::open(&directory.join("log"), segments_max, number).unwrap()
}

/// Ready for a first batch.
fn tail(directory: &Path, segments_max: u64) -> Tail {
    let (mut tail, _) = open(directory, segments_max, 0);
    assert!(tail.begin_segment(0));
    tail
}

fn batch(writes: &[Write]) -> Batch {
    let mut batch = Batch::default();
    writes.iter().for_each(|write| batch.add(write));
    batch
}

fn mark(bytes: usize) -> Write {
    Write::Mark { mark: Mark::Committed, value: vec![7; bytes].into() }
}

fn is_placed(placed: Placed) -> bool {
    matches!(placed, Placed::At(..))
}

fn numbers(directory: &Path, after: u64) -> Vec<u64> {
    open(directory, 1, after).1.into_iter().map(|written| written.number).collect()
}

#[test]
fn every_kind_of_write_comes_back() {
    let writes = [
        Write::Append { index: 5, record: Bytes::from_static(b"record") },
        Write::Append { index: 6, record: Bytes::new() },
        mark(9),
        Write::Truncate { from: 6 },
        Write::Remove { indexes: 1..4 },
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path(), 1);
    let placed = tail.append(8, &mut batch(&writes)).unwrap();
    let (_, found) = open(directory.path(), 1, 7);
    assert_eq!(found.len(), 1);
    let found = &found[0];
    assert_eq!((found.number, Placed::At(found.at, found.bytes)), (8, placed));
    let kept = batch(&writes).take_kept();
    assert_eq!(found.kept, kept);
    let super::Kept::Append { record, .. } = &kept[0] else { panic!("{kept:?}") };
    assert_eq!(tail.file().read(found.at, *record).unwrap(), "record");
    assert!(numbers(directory.path(), 8).is_empty());
    let error = Tail::open(&directory.path().join("log"), 1, 6).err().unwrap();
    assert!(error.to_string().contains("begins with batch 8, and the database ends with batch 6"), "{error}");
}

#[test]
fn what_lies_behind_the_last_frame_is_never_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path(), 1);
    // The second frame of the first time would follow the first one of the second time, if numbers were all.
    for number in [1, 2, 3] {
        assert!(is_placed(tail.append(number, &mut batch(&[mark(10)])).unwrap()));
    }
    assert!(tail.begin_segment(3));
    assert!(is_placed(tail.append(1, &mut batch(&[mark(20)])).unwrap()));
    assert_eq!(numbers(directory.path(), 0), [1]);
    assert!(is_placed(tail.append(2, &mut batch(&[mark(20)])).unwrap()));
    assert_eq!(numbers(directory.path(), 0), [1, 2]);
}

#[test]
fn a_segment_is_used_again_when_all_that_it_holds_is_in_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path(), 3);
    assert_eq!(tail.append(1, &mut batch(&[mark(SEGMENT_BYTES)])).unwrap(), Placed::TooLarge);
    let mut half = batch(&[mark(SEGMENT_BYTES / 2)]);
    let mut begins = Vec::new();
    for number in 1..=3 {
        assert_eq!(tail.append(number, &mut half).unwrap(), Placed::At(begin_of(number - 1), SEGMENT_BYTES / 2 + 4096));
        assert_eq!(tail.append(number + 1, &mut half).unwrap(), Placed::NoRoom);
        begins.push(tail.begin_segment(0));
        assert_eq!(tail.grow(true).unwrap(), number < 3);
        begins.push(tail.begin_segment(0));
    }
    assert_eq!(begins, [false, true, false, true, false, false]);
    assert_eq!(tail.oldest(), Some(1));
    assert_eq!(numbers(directory.path(), 1), [2, 3]);
    assert!(tail.is_ready(1));
    assert!(tail.begin_segment(1));
    assert_eq!(tail.append(4, &mut half).unwrap(), Placed::At(0, SEGMENT_BYTES / 2 + 4096));
    assert_eq!(numbers(directory.path(), 1), [2, 3, 4]);
    // Opened anew, it goes on where there is room.
    let (mut tail, found) = open(directory.path(), 3, 2);
    assert_eq!(found.len(), 2);
    assert!(tail.begin_segment(2));
    assert_eq!(tail.append(5, &mut half).unwrap(), Placed::At(begin_of(1), SEGMENT_BYTES / 2 + 4096));
    assert_eq!(numbers(directory.path(), 2), [3, 4, 5]);
}

#[test]
fn a_next_segment_is_ready_when_the_current_one_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path(), 2);
    let mut number = 0;
    let mut small = batch(&[mark(30_000)]);
    loop {
        match tail.append(number + 1, &mut small).unwrap() {
            Placed::At(..) => number += 1,
            placed => break assert_eq!(placed, Placed::NoRoom),
        }
        if !tail.is_ready(0) {
            assert!(tail.grow(false).unwrap());
        }
    }
    assert!(tail.begin_segment(0), "after {number} batches");
    assert_eq!(tail.file().bytes(), 2 * SEGMENT_BYTES as u64);
}

#[test]
fn a_segment_that_lacks_what_others_follow_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path(), 2);
    for number in 1..=3 {
        assert!(is_placed(tail.append(number, &mut batch(&[mark(100)])).unwrap()));
    }
    assert!(tail.grow(true).unwrap() && tail.begin_segment(0));
    assert!(is_placed(tail.append(4, &mut batch(&[mark(100)])).unwrap()));
    assert_eq!(numbers(directory.path(), 0), [1, 2, 3, 4]);
    tail.file.file.write_all_at(b"rot", 2 * 4096 + 50).unwrap();
    let error = Tail::open(&directory.path().join("log"), 2, 0).err().unwrap();
    assert!(error.to_string().contains("begins with batch 4, and what is before it ends with batch 2"), "{error}");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.tail"), b"RFT\x03").unwrap();
    let error = Tail::open(&directory.path().join("log"), 1, 0).err().unwrap();
    assert!(error.to_string().contains("is of format 3"), "{error}");
}

#[test]
fn no_bytes_bring_it_down() {
    let mut rng = SmallRng::seed_from_u64(7);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..100 {
        let mut tail = tail(directory.path(), 1);
        let mut written = batch(&[mark(40), Write::Truncate { from: 3 }]);
        assert!(is_placed(tail.append(1, &mut written).unwrap()));
        let mut bytes = vec![0; rng.random_range(1..200)];
        rng.fill_bytes(&mut bytes);
        // Any bytes where the checksum would be right, and in the file behind the version.
        let _ = decode(&bytes);
        tail.file.file.write_all_at(&bytes, rng.random_range(4..300)).unwrap();
        assert!(numbers(directory.path(), 0).len() <= 1);
        tail.file.file.write_all_at(&[0; 4096], 0).unwrap();
    }
}
