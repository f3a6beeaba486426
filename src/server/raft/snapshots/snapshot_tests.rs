use std::{
    io::{Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use ringfence_core::{Command, Entry, Op, Put, SessionId, State, Txn, query::Stats};

use super::{
    KEEP, SUFFIX, Snapshots,
    files::{Files, RealFiles},
    format,
};
use crate::raft::{
    MemoryDisk,
    types::{LeaderId, LogId, SnapshotMeta},
};

const CLUSTER: u64 = 7;

fn state(keys: usize) -> State {
    let mut state = State::default();
    let open = Command::OpenSession { id: SessionId(5), ttl_ms: 10_000, owner: "test".to_owned() };
    let puts = (0..keys).map(|n| {
        let put = Put {
            key: format!("key{n}").into(),
            value: Bytes::from(vec![n as u8; 50]),
            session: None,
            sequential: false,
            prev: false,
        };
        Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() }).into()
    });
    let requests = std::iter::once(open.into()).chain(puts).collect();
    let outcome = state.apply(&Entry { clock_ms: 1, wall_ms: 2, requests });
    assert!(outcome.replies.iter().all(Result::is_ok), "{:?}", outcome.replies);
    state
}

fn meta(index: u64) -> SnapshotMeta {
    let last = LogId { leader_id: LeaderId { term: 3, node_id: 1 }, index };
    SnapshotMeta { last_log_id: Some(last), ..SnapshotMeta::default() }
}

fn hash(state: &State) -> u64 {
    state.read(&Stats).unwrap().hash
}

fn written(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    format::write(&mut bytes, CLUSTER, &meta(9), state).unwrap();
    bytes
}

#[test]
fn what_is_written_is_read() {
    for keys in [0, 1, 20_000] {
        let state = state(keys);
        let bytes = written(&state);
        let (read_meta, read) = format::read(&mut bytes.as_slice(), CLUSTER).unwrap();
        assert_eq!(read_meta, meta(9));
        assert_eq!(hash(&read), hash(&state));
        assert_eq!(read.records().collect::<Vec<_>>(), state.records().collect::<Vec<_>>());
    }
}

#[test]
fn torn_and_changed_files_are_refused() {
    let bytes = written(&state(5));
    for length in 0..bytes.len() {
        assert!(format::read(&mut &bytes[..length], CLUSTER).is_err(), "cut to {length} of {}", bytes.len());
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(format::read(&mut changed.as_slice(), CLUSTER).is_err(), "bit {bit} of byte {at}");
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(format::read(&mut longer.as_slice(), CLUSTER).is_err());
    assert!(format::read(&mut bytes.as_slice(), CLUSTER + 1).is_err());
}

fn both() -> Vec<(Arc<dyn Files>, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let real = RealFiles::open(&directory.path().join("snapshots")).unwrap();
    vec![(Arc::new(MemoryDisk::new().open()), None), (Arc::new(real), Some(directory))]
}

fn contents(files: &dyn Files, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    files.open(name).unwrap().0.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_newest_two_stay_and_the_one_before_replaces_a_damaged_one() {
    for (files, _directory) in both() {
        let (snapshots, refused) = Snapshots::open(files.clone(), CLUSTER).unwrap();
        assert!(refused.is_empty() && snapshots.current().is_none());
        let states: Vec<State> = (1..=4).map(state).collect();
        for (state, index) in states.iter().zip(1..) {
            snapshots.write(&meta(index * 10), state).unwrap();
        }
        assert_eq!(files.list().unwrap().len(), KEEP);
        assert_eq!(snapshots.previous_covered(), Some(30));
        // A write that was cut off leaves a file that is no snapshot.
        files.create("9.tmp").unwrap().sync().unwrap();

        let (snapshots, refused) = Snapshots::open(files.clone(), CLUSTER).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(snapshots.current().unwrap().0, meta(40));
        assert!(files.list().unwrap().iter().all(|name| name.ends_with(SUFFIX)));

        let newest = files.list().unwrap().into_iter().max().unwrap();
        let mut bytes = contents(&*files, &newest);
        *bytes.last_mut().unwrap() ^= 1;
        let mut file = files.create(&newest).unwrap();
        file.write_all(&bytes).unwrap();
        file.sync().unwrap();
        drop(file);

        let (snapshots, refused) = Snapshots::open(files.clone(), CLUSTER).unwrap();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].contains(&newest), "{refused:?}");
        let (current, file) = snapshots.current().unwrap();
        assert_eq!(current, meta(30));
        assert_eq!(hash(&snapshots.install(&current, file).unwrap()), hash(&states[2]));
        // The next one that is written removes the damaged one.
        snapshots.write(&meta(50), &states[3]).unwrap();
        assert!(!files.list().unwrap().contains(&newest));
    }
}

#[test]
fn what_is_received_counts_once_it_is_installed() {
    for (files, _directory) in both() {
        let (snapshots, _) = Snapshots::open(files.clone(), CLUSTER).unwrap();
        snapshots.write(&meta(1), &state(1)).unwrap();
        let sent = written(&state(3));

        let mut half = snapshots.begin().unwrap();
        half.add(&sent[..sent.len() / 2]).unwrap();
        assert!(half.receive().is_err());
        assert_eq!(files.list().unwrap().len(), 1, "the half is left behind");

        let mut whole = snapshots.begin().unwrap();
        whole.add(&sent).unwrap();
        let (received, file) = whole.receive().unwrap();
        drop(file);
        assert_eq!(files.list().unwrap().len(), 1, "what isn't installed is left behind");

        let mut whole = snapshots.begin().unwrap();
        whole.add(&sent).unwrap();
        let (_, file) = whole.receive().unwrap();
        assert_eq!(hash(&snapshots.install(&received, file).unwrap()), hash(&state(3)));
        assert_eq!(snapshots.current().unwrap().0, meta(9));
        assert_eq!(files.list().unwrap().len(), 1, "the older ones stay");
    }
}
