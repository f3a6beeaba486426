use std::{os::unix::fs::FileExt, path::Path};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Batch, TAIL_BYTES, Tail, decode};
use crate::raft::engine::{Mark, Write};

fn tail(directory: &Path) -> Tail {
    Tail::open(&directory.join("log")).unwrap()
}

fn batch(writes: &[Write]) -> Batch {
    let mut batch = Batch::default();
    writes.iter().for_each(|write| batch.add(write));
    batch
}

fn mark(bytes: usize) -> Write {
    Write::Mark { mark: Mark::Committed, value: vec![7; bytes].into() }
}

fn numbers(tail: &Tail, after: u64) -> Vec<u64> {
    tail.after(after).unwrap().into_iter().map(|(number, _)| number).collect()
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
    assert!(tail(directory.path()).append(8, &batch(&writes)).unwrap());
    let found = tail(directory.path()).after(7).unwrap();
    assert_eq!(format!("{found:?}"), format!("{:?}", [(8, writes.to_vec())]));
    assert!(numbers(&tail(directory.path()), 8).is_empty());
    assert!(tail(directory.path()).after(6).is_err(), "7 is missing");
}

#[test]
fn what_lies_behind_the_last_frame_is_never_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path());
    // The second frame of the first time would follow the first one of the second time, if numbers were all.
    for number in [1, 2, 3] {
        assert!(tail.append(number, &batch(&[mark(10)])).unwrap());
    }
    tail.begin_anew();
    assert!(tail.append(1, &batch(&[mark(20)])).unwrap());
    assert_eq!(numbers(&tail, 0), [1]);
    assert!(tail.append(2, &batch(&[mark(20)])).unwrap());
    assert_eq!(numbers(&tail, 0), [1, 2]);
}

#[test]
fn it_says_when_there_is_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut tail = tail(directory.path());
    assert!(!tail.append(1, &batch(&[mark(TAIL_BYTES)])).unwrap());
    let half = batch(&[mark(TAIL_BYTES / 2)]);
    assert!(tail.append(1, &half).unwrap());
    assert!(!tail.append(2, &half).unwrap());
    tail.begin_anew();
    assert!(tail.append(2, &half).unwrap());
    assert_eq!(numbers(&tail, 1), [2]);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.tail"), b"RFT\x02").unwrap();
    let error = tail(directory.path()).after(0).err().unwrap();
    assert!(error.to_string().contains("is of format 2"), "{error}");
}

#[test]
fn no_bytes_bring_it_down() {
    let mut rng = SmallRng::seed_from_u64(7);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..300 {
        let mut tail = tail(directory.path());
        let written = batch(&[mark(40), Write::Truncate { from: 3 }]);
        assert!(tail.append(1, &written).unwrap());
        let mut bytes = vec![0; rng.random_range(1..200)];
        rng.fill_bytes(&mut bytes);
        // Any bytes where the checksum would be right, and in the file behind the version.
        let _ = decode(Bytes::from(bytes.clone()));
        tail.file.write_all_at(&bytes, rng.random_range(4..300)).unwrap();
        assert!(tail.after(0).unwrap().len() <= 1);
    }
}
