use std::io;

use prost::Message;
use ringfence_core::{Claim, Command, Entry, Mode, Op, Put, Request, SessionId, State, Txn, query::Stats};
use ringfence_proto::{
    backup::{FORMAT, MAGIC, inspect},
    frames::FrameWriter,
    storage::BackupHeader,
};

use super::{Origin, begin, gathered, read};

/// A backup in the first format, of [`state`].
const GOLDEN: &[u8] = include_bytes!("../../../tests/golden/format-1.backup");

fn state() -> State {
    let mut state = State::default();
    let open = |id| Command::OpenSession { id: SessionId(id), ttl_ms: 10_000, owner: "test".to_owned() };
    let claim = |id| {
        let (name, suffix, value) = ("lock".into(), "".into(), "".into());
        let (session, mode) = (SessionId(id), Mode::Exclusive);
        Command::Claim(Claim { name, session, suffix, mode, value, attempt: 1, only_if_free: false })
    };
    let put = Put { key: "k".into(), value: "v".into(), session: None, sequential: false, prev: false };
    let put = Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() });
    let requests = [open(5), open(6), put, claim(5), claim(6)].map(Request::from).to_vec();
    let outcome = state.apply(&Entry { clock_ms: 1, wall_ms: 2, requests });
    assert!(outcome.replies.iter().all(Result::is_ok), "{:?}", outcome.replies);
    state
}

fn written(state: &State) -> Vec<u8> {
    let origin = Origin { cluster: 7, cluster_name: "test".to_owned(), node: 3, taken_wall_ms: 99 };
    let mut frames = begin(origin, state).unwrap();
    for gathered in gathered(state) {
        frames.write(&gathered.raw).unwrap();
    }
    frames.end().unwrap();
    std::mem::take(frames.out())
}

#[test]
fn what_is_written_is_read_and_counted() {
    let state = state();
    let bytes = written(&state);
    let (header, read) = read(bytes.as_slice()).unwrap();
    assert_eq!(read.read(&Stats), state.read(&Stats));
    assert_eq!((header.cluster, header.cluster_name.as_str(), header.node), (7, "test", 3));
    assert_eq!((header.revision, header.keys, header.sessions, header.queues), (3, 3, 2, 1));
    let summary = inspect(bytes.as_slice()).unwrap();
    assert_eq!((summary.header, summary.claims), (header, 2));
    assert_eq!((summary.bytes, summary.checksum), (bytes.len() as u64, crc32fast::hash(&bytes)));
}

#[test]
fn torn_and_changed_files_are_refused() {
    let bytes = written(&state());
    let refused = |bytes: &[u8], what: &str| {
        assert!(read(bytes).is_err(), "{what} is restored");
        assert!(inspect(bytes).is_err(), "{what} passes the inspection");
    };
    for length in 0..bytes.len() {
        refused(&bytes[..length], &format!("cut to {length} of {}", bytes.len()));
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        refused(&changed, &format!("a change of byte {at}"));
    }
    refused(&[&bytes[..], b"x"].concat(), "a byte more");
}

#[test]
fn the_first_format_is_read_for_ever() {
    let (header, state) = read(GOLDEN).unwrap();
    assert_eq!(header.format, 1);
    assert_eq!(state.verify_invariants(), Ok(()));
    let summary = inspect(GOLDEN).unwrap();
    assert_eq!((summary.header.keys, summary.header.sessions, summary.claims), (3, 2, 2));
    let stats = state.restored_from_backup(1000).unwrap().read(&Stats).unwrap();
    assert_eq!((stats.revision, stats.keys), (header.revision + 1000, 2));
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let mut frames = FrameWriter::new(Vec::new(), MAGIC).unwrap();
    let header = BackupHeader { format: FORMAT + 1, ..BackupHeader::default() };
    frames.write(&header.encode_to_vec()).unwrap();
    frames.write(b"what only a newer version can read").unwrap();
    frames.end().unwrap();
    let bytes = std::mem::take(frames.out());
    for error in [read(bytes.as_slice()).err(), inspect(bytes.as_slice()).err()] {
        let error = error.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "it is of format 2, and this version reads format 1");
    }
}
