//! What stands on disk, and what members say to each other, is read by every later version: the files in `tests/golden` hold both as the
//! first version wrote them. A file that is missing is made by a test run with `RINGFENCE_GOLDEN=write`; one that is there is never
//! changed, since versions that wrote it are in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use ringfence_core::{Claim, Command, Entry, Mode, Op, Put, Request, RequestId, SessionId, State, Txn, query::Stats};
use ringfence_proto::{peer, storage as pb};

use crate::raft::{
    codec::{self, tests as samples},
    engine::Mark,
    log_store::record,
    snapshots::format,
    types::{Addresses, LeaderId, LogEntry, LogId, Membership, Payload, Proposal, SnapshotMeta, StoredMembership},
};

const CLUSTER: u64 = 7;

/// The parts of a golden file: each with its length before it.
fn golden(name: &str, written_now: &[Bytes]) -> Vec<Bytes> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")).join(name);
    if !path.exists() && std::env::var("RINGFENCE_GOLDEN").is_ok_and(|wish| wish == "write") {
        let mut file = Vec::new();
        for part in written_now {
            file.put_u32(u32::try_from(part.len()).unwrap());
            file.put_slice(part);
        }
        fs::write(&path, file).unwrap();
    }
    let mut rest = Bytes::from(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    let mut parts = Vec::new();
    while rest.has_remaining() {
        let length = rest.get_u32() as usize;
        parts.push(rest.split_to(length));
    }
    parts
}

fn place(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 3, node_id: 2 }, index }
}

fn membership() -> Membership {
    let address = |id: u64| Addresses { client: format!("host{id}:7601"), peer: format!("host{id}:7611") };
    let members: BTreeMap<u64, Addresses> = (1..=4).map(|id| (id, address(id))).collect();
    Membership::new(vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])], members).unwrap()
}

fn requests() -> Vec<Request> {
    let id = Some(RequestId { session: SessionId(3), sequence: 4 });
    let numbered = samples::commands().into_iter().map(|command| Request { id, command });
    samples::commands().into_iter().map(Request::from).chain(numbered).collect()
}

/// One entry of each kind, and in the last one command of each kind.
fn entries() -> Vec<LogEntry> {
    let entry = Entry { clock_ms: 5, wall_ms: 6, requests: requests() };
    let payloads = [Payload::Blank, Payload::Membership(membership()), Payload::Normal(Proposal::new(&entry).unwrap())];
    (0..).zip(payloads).map(|(index, payload)| LogEntry { log_id: place(index), payload }).collect()
}

/// With one of everything that a state holds: sessions, keys with a history, numbered requests, owners and waiters of each mode.
fn state() -> State {
    let session = SessionId(5);
    let open = |id| Command::OpenSession { id: SessionId(id), ttl_ms: 10_000, owner: format!("owner {id}") };
    let put = |key: &str, value: &str, session, sequential| {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        Command::Txn(Txn {
            then: vec![Op::Put(Put { key, value, session, sequential, prev: false })],
            ..Txn::default()
        })
    };
    let claim = |name: &str, id, mode| {
        let (name, suffix, value) = (name.to_owned().into(), "suffix".into(), "value".into());
        Command::Claim(Claim { name, session: SessionId(id), suffix, mode, value, attempt: 1, only_if_free: false })
    };
    let mut requests: Vec<Request> = [
        open(5),
        open(6),
        Command::RaiseLevel { level: 1 },
        put("key", "first", None, false),
        put("key", "second", Some(session), false),
        put("queue/", "sequential", None, true),
        claim("lock", 5, Mode::Exclusive),
        claim("lock", 6, Mode::Exclusive),
        claim("read", 5, Mode::Shared),
        claim("read", 6, Mode::Shared),
        claim("pool", 5, Mode::Semaphore(2)),
        Command::Compact { revision: 1 },
    ]
    .map(Request::from)
    .to_vec();
    let id = Some(RequestId { session, sequence: 1 });
    requests.push(Request { id, command: put("numbered", "once", None, false) });
    let mut state = State::default();
    let outcome = state.apply(&Entry { clock_ms: 1, wall_ms: 2, requests });
    assert!(outcome.replies.iter().all(Result::is_ok), "{:?}", outcome.replies);
    state
}

#[test]
fn records_of_the_log() {
    let now: Vec<Bytes> = entries().iter().map(record::seal_entry).collect();
    let then = golden("format-1.log", &now);
    let read: Vec<LogEntry> = (0..).zip(&then).map(|(index, part)| record::open_entry(index, part).unwrap()).collect();
    assert_eq!(read, entries());
    assert_eq!(now, then, "what is written now, an older version must read");
}

#[test]
fn marks() {
    let vote = pb::Vote { term: 3, node: 2, committed: true };
    let id = codec::raft::log_id_to(&place(9));
    let identity = pb::Identity { format: 1, cluster: CLUSTER, node: 2 };
    let now = [
        record::seal_mark(Mark::Identity, &identity.encode_to_vec()),
        record::seal_mark(Mark::Vote, &vote.encode_to_vec()),
        record::seal_mark(Mark::Committed, &id.encode_to_vec()),
        record::seal_mark(Mark::Purged, &id.encode_to_vec()),
    ];
    let then = golden("format-1.marks", &now);
    assert_eq!(record::open_mark::<pb::Identity>(Mark::Identity, &then[0]).unwrap(), identity);
    assert_eq!(record::open_mark::<pb::Vote>(Mark::Vote, &then[1]).unwrap(), vote);
    assert_eq!(record::open_mark::<pb::LogId>(Mark::Committed, &then[2]).unwrap(), id);
    assert_eq!(record::open_mark::<pb::LogId>(Mark::Purged, &then[3]).unwrap(), id);
    assert_eq!(then, now, "what is written now, an older version must read");
}

#[test]
fn snapshots() {
    let meta = SnapshotMeta {
        last_log_id: Some(place(9)),
        last_membership: StoredMembership::new(Some(place(8)), membership()),
    };
    let mut now = Vec::new();
    format::write(&mut now, CLUSTER, &meta, &state()).unwrap();
    let then = golden("format-1.snapshot", &[now.into()]);
    let (read_meta, read) = format::read(&mut &then[0][..], CLUSTER).unwrap();
    assert_eq!(read_meta, meta);
    assert_eq!(read.verify_invariants(), Ok(()));
    // Also: what these requests do today is what they did then, or members of two versions would part.
    assert_eq!(read.read(&Stats), state().read(&Stats));
}

fn peer_messages() -> Vec<Bytes> {
    let sender = Some(peer::Sender { cluster: CLUSTER, node: 2, to: 3 });
    let vote = Some(pb::Vote { term: 3, node: 2, committed: false });
    let id = |index| Some(codec::raft::log_id_to(&place(index)));
    let append = peer::AppendRequest {
        sender,
        vote,
        previous: id(1),
        records: entries().iter().map(codec::raft::record_to).collect(),
        committed: id(0),
    };
    let asked = peer::VoteRequest { sender, vote, last: id(1), leadership_transfer: true, pre: true };
    let start = peer::SnapshotStart { sender, vote, bytes: 99 };
    let snapshot = peer::SnapshotChunk { chunk: Some(peer::snapshot_chunk::Chunk::Start(start)) };
    let transfer = peer::TransferLeaderRequest { sender, from: vote, last: id(1), to: 3 };
    let propose = peer::ProposeRequest { sender, requests: requests().iter().map(codec::request_to).collect() };
    let replies = peer::ProposeReplies { results: samples::results().iter().map(codec::result_to).collect() };
    let proposed = peer::ProposeResponse { result: Some(peer::propose_response::Result::Replies(replies)) };
    let promote = peer::admin_request::Admin::Promote(peer::Promote { id: 4, force: true });
    let admin = peer::AdminRequest { sender, admin: Some(promote), force_remove: false };
    vec![
        append.encode_to_vec().into(),
        asked.encode_to_vec().into(),
        snapshot.encode_to_vec().into(),
        transfer.encode_to_vec().into(),
        propose.encode_to_vec().into(),
        proposed.encode_to_vec().into(),
        admin.encode_to_vec().into(),
    ]
}

/// A message goes through this version as it came, and a field that only a newer one knows is no hindrance.
fn goes_through<M: Message + Default + PartialEq + std::fmt::Debug>(what: &'static str, part: &Bytes) {
    let read: M = codec::decode(what, part).unwrap();
    assert_eq!(&read.encode_to_vec(), part, "{what}");
    let mut newer = part.to_vec();
    prost::encoding::uint64::encode(1000, &1, &mut newer);
    assert_eq!(codec::decode::<M>(what, &newer).unwrap(), read, "{what}");
}

#[test]
fn messages_between_members() {
    let then = golden("format-1.peer", &peer_messages());
    assert_eq!(then, peer_messages(), "what is sent now, an older version must read");
    goes_through::<peer::AppendRequest>("append", &then[0]);
    goes_through::<peer::VoteRequest>("vote", &then[1]);
    goes_through::<peer::SnapshotChunk>("snapshot chunk", &then[2]);
    goes_through::<peer::TransferLeaderRequest>("transfer", &then[3]);
    goes_through::<peer::ProposeRequest>("propose", &then[4]);
    goes_through::<peer::ProposeResponse>("replies", &then[5]);
    goes_through::<peer::AdminRequest>("admin", &then[6]);
}

#[test]
fn a_newer_snapshot_is_refused_by_its_number() {
    let header = pb::SnapshotHeader { format: format::FORMAT + 1, ..pb::SnapshotHeader::default() };
    let mut frames = ringfence_proto::frames::FrameWriter::new(Vec::new(), format::MAGIC).unwrap();
    frames.write(&header.encode_to_vec()).unwrap();
    frames.end().unwrap();
    let bytes = std::mem::take(frames.out());
    let error = format::read(&mut &bytes[..], CLUSTER).unwrap_err();
    assert_eq!(error.to_string(), "it is of format 2, and this version reads format 1");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

/// A kind of entry or of command that a newer version brought must not be passed over.
#[test]
fn what_a_newer_version_brought_is_refused() {
    let unknown_kind = pb::LogRecord { log_id: Some(codec::raft::log_id_to(&place(1))), payload: None };
    let error = codec::raft::record_from(unknown_kind).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    let unknown_command = pb::Request::default();
    let error = codec::request_from(unknown_command).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}
