use bytes::Bytes;
use prost::Message;
use ringfence_core::{
    Claim, ClaimView, Command, Compare, Entry, KeyView, Mode, Op, OpReply, Put, Refusal, Relation, Reply, Request,
    RequestId, SessionId, Span, State, Target, Txn, TxnReply, Which,
    query::{Range, RangeAnswer, Select},
    snapshot::{self, Record},
};

use super::{entry_from, entry_to, record_from, record_to, result_from, result_to};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn range(select: Select) -> Range {
    Range { select, limit: 7, keys_only: true, count_only: false, revision: 3, descending: true }
}

fn txn() -> Txn {
    let targets = [
        Target::Value(bytes("v")),
        Target::Value(Bytes::new()),
        Target::CreateRevision(0),
        Target::ModRevision(u64::MAX),
        Target::Version(3),
        Target::Session(4),
        Target::Holds(5),
    ];
    let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
    let compare = targets
        .into_iter()
        .zip(relations.into_iter().cycle())
        .map(|(target, relation)| Compare { key: bytes("k"), relation, target })
        .collect();
    let spans =
        [Span::Key(bytes("k")), Span::Between { start: bytes("a"), end: bytes("b") }, Span::Prefix(Bytes::new())];
    let mut then = vec![
        Op::Put(Put { key: bytes("k"), value: bytes("v"), session: Some(SessionId(1)), sequential: true, prev: false }),
        Op::Put(Put { key: bytes("k"), value: Bytes::new(), session: None, sequential: false, prev: true }),
        Op::Range(range(Select::Children(bytes("/a")))),
    ];
    for span in spans {
        then.push(Op::Delete { span: span.clone(), prev: true });
        then.push(Op::Range(range(Select::Span(span))));
    }
    Txn { compare, otherwise: then.iter().rev().cloned().collect(), then }
}

/// Commands of each kind.
pub fn commands() -> Vec<Command> {
    let (name, session) = (bytes("name"), SessionId(i64::MAX as u64));
    let mut commands = vec![
        Command::Txn(Txn::default()),
        Command::Txn(txn()),
        Command::Compact { revision: 9 },
        Command::RaiseLevel { level: 3 },
        Command::OpenSession { id: session, ttl_ms: 500, owner: "ü".to_owned() },
        Command::RenewSessions { ids: vec![session, SessionId(1)] },
        Command::RenewSessions { ids: Vec::new() },
        Command::CloseSession { id: session },
        Command::ForceRelease { name: name.clone(), token: 4 },
        Command::Proclaim { name: name.clone(), session, token: 4, value: bytes("v") },
    ];
    for mode in [Mode::Exclusive, Mode::Shared, Mode::Semaphore(3)] {
        commands.push(Command::Claim(Claim {
            name: name.clone(),
            session,
            suffix: bytes("s"),
            mode,
            value: bytes("v"),
            attempt: u64::MAX,
            only_if_free: mode == Mode::Shared,
        }));
    }
    let suffix = Bytes::new();
    for which in [Which::Token(1), Which::Suffix(bytes("s")), Which::Attempt { suffix, attempt: 2 }] {
        commands.push(Command::Release { name: name.clone(), session, which });
    }
    commands
}

fn key() -> KeyView {
    KeyView {
        key: bytes("k"),
        value: bytes("v"),
        create_revision: 1,
        mod_revision: 2,
        version: 3,
        session: Some(SessionId(4)),
        wall_ms: 5,
        claim: true,
    }
}

fn claim() -> ClaimView {
    ClaimView {
        name: bytes("n"),
        key: bytes("k"),
        session: SessionId(1),
        session_owner: "o".to_owned(),
        suffix: bytes("s"),
        token: 2,
        mode: Mode::Semaphore(1),
        owner: true,
        value: bytes("v"),
        claimed_wall_ms: 3,
        granted_wall_ms: 0,
        mod_revision: 4,
    }
}

/// Replies and refusals of each kind.
pub fn results() -> Vec<Result<Reply, Refusal>> {
    let unbound = KeyView { session: None, ..key() };
    let results = vec![
        OpReply::Put { key: bytes("k"), prev: None },
        OpReply::Put { key: bytes("k"), prev: Some(key()) },
        OpReply::Delete { deleted: 2, prev: vec![key(), unbound] },
        OpReply::Range(RangeAnswer { keys: vec![key()], more: true, count: 9 }),
    ];
    let (id, text) = (SessionId(8), || "text".to_owned());
    vec![
        Ok(Reply::Txn(TxnReply { succeeded: true, revision: 3, results })),
        Ok(Reply::Compacted),
        Ok(Reply::SessionOpened { id, ttl_ms: 1 }),
        Ok(Reply::SessionsRenewed(vec![Some(500), None, Some(1)])),
        Ok(Reply::SessionClosed { deleted: 3 }),
        Ok(Reply::Claimed(claim())),
        Ok(Reply::Released(claim())),
        Ok(Reply::Proclaimed),
        Ok(Reply::LevelRaised { level: 3 }),
        Err(Refusal::LimitExceeded { what: text(), limit: 1, actual: 2 }),
        Err(Refusal::InvalidKey(text())),
        Err(Refusal::InvalidName(text())),
        Err(Refusal::InvalidRange(text())),
        Err(Refusal::InvalidArgument(text())),
        Err(Refusal::DuplicateKey(text())),
        Err(Refusal::TtlOutOfRange { min_ms: 1, max_ms: 2, actual_ms: 3 }),
        Err(Refusal::SessionUnknown(id)),
        Err(Refusal::SessionExpired(id)),
        Err(Refusal::SessionExists(id)),
        Err(Refusal::RevisionCompacted { requested: 1, compacted: 2 }),
        Err(Refusal::RevisionFuture { requested: 2, newest: 1 }),
        Err(Refusal::KeyIsClaim(text())),
        Err(Refusal::KeyNotClaim(text())),
        Err(Refusal::LockHeld { owner: id, token: 4 }),
        Err(Refusal::PermitsMismatch { expected: 1, actual: 2 }),
        Err(Refusal::ModeMismatch),
        Err(Refusal::TokenStale { token: 0 }),
        Err(Refusal::NotOwner(text())),
        Err(Refusal::SequenceTooOld { sequence: 1, oldest: 2 }),
        Err(Refusal::SequenceReused { sequence: 3 }),
        Err(Refusal::ReplyNotKept { revision: 4, succeeded: true }),
    ]
}

#[test]
fn entries_come_back() {
    let id = Some(RequestId { session: SessionId(3), sequence: 4 });
    let mut requests: Vec<Request> = commands().into_iter().map(Request::from).collect();
    requests.extend(commands().into_iter().map(|command| Request { id, command }));
    for requests in [Vec::new(), requests] {
        let entry = Entry { clock_ms: 1, wall_ms: u64::MAX, requests };
        assert_eq!(entry_from(&entry_to(&entry)).unwrap(), entry);
    }
}

#[test]
fn results_come_back() {
    for result in results() {
        assert_eq!(result_from(result_to(&result)).unwrap(), result);
    }
}

#[test]
fn records_come_back() {
    let mut records = vec![
        Record::Header(snapshot::Header {
            format: 1,
            revision: 2,
            compacted: 3,
            clock_ms: 4,
            sequential: 5,
            hash: u64::MAX,
            level: 2,
        }),
        Record::Session(snapshot::Session {
            id: SessionId(1),
            owner: "o".to_owned(),
            ttl_ms: 2,
            deadline_ms: 3,
            opened_wall_ms: 4,
            sequence: 5,
        }),
        Record::Claim(snapshot::Claim {
            name: bytes("n"),
            session: SessionId(1),
            suffix: Bytes::new(),
            token: 2,
            mode: Mode::Shared,
            attempt: 3,
            claimed_wall_ms: 4,
            granted_wall_ms: 5,
        }),
        Record::Trailer(snapshot::Trailer { records: 9 }),
    ];
    for session in [None, Some(SessionId(7))] {
        records.push(Record::Version(snapshot::Version {
            key: bytes("k"),
            value: bytes("v"),
            create_revision: 1,
            mod_revision: 2,
            version: 3,
            session,
            wall_ms: 4,
            claim: session.is_some(),
            deleted: session.is_none(),
        }));
    }
    for result in results() {
        let session = SessionId(1);
        records.push(Record::Remembered(snapshot::Remembered { session, sequence: 2, command: u64::MAX, result }));
    }
    for record in records {
        assert_eq!(record_from(record_to(&record)).unwrap(), record);
    }
}

/// One command after another of each kind that leaves something in the state.
fn leaving() -> Vec<Command> {
    let (one, two) = (SessionId(1), SessionId(2));
    let open = |id| Command::OpenSession { id, ttl_ms: 5000, owner: "app".to_owned() };
    let put = |key: &str, session, sequential, prev| {
        let put = Put { key: bytes(key), value: bytes("value"), session, sequential, prev };
        Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() })
    };
    let claim = |session, suffix: &str| {
        let (name, suffix, value) = (bytes("lock"), bytes(suffix), bytes("value"));
        Command::Claim(Claim { name, session, suffix, mode: Mode::Exclusive, value, attempt: 1, only_if_free: false })
    };
    let looking = Op::Range(Range { revision: 0, ..range(Select::Children(bytes("k"))) });
    let deleting = Op::Delete { span: Span::Key(bytes("bound")), prev: true };
    let compare = Compare { key: bytes("key"), relation: Relation::Equal, target: Target::Value(bytes("value")) };
    vec![
        open(one),
        open(two),
        put("key", None, false, false),
        put("key", None, false, true),
        put("bound", Some(one), false, false),
        put("key/", None, true, false),
        Command::Txn(Txn { compare: vec![compare], then: vec![looking, deleting], otherwise: Vec::new() }),
        claim(one, "a"),
        claim(two, "b"),
        claim(two, ""),
        Command::Release { name: bytes("lock"), session: one, which: Which::Suffix(bytes("a")) },
        Command::CloseSession { id: two },
    ]
}

#[test]
fn the_state_keeps_nothing_of_the_buffer_of_an_entry() {
    let mut state = State::default();
    for (sequence, command) in (1..).zip(leaving()) {
        // So that the reply is remembered.
        let id = matches!(command, Command::Txn(_)).then_some(RequestId { session: SessionId(1), sequence });
        let request = Request { id, command };
        let encoded = entry_to(&Entry { clock_ms: 1, wall_ms: 1, requests: vec![request.clone()] });
        let outcome = state.apply(&entry_from(&encoded).unwrap());
        assert!(outcome.replies.iter().all(Result::is_ok), "{request:?}: {:?}", outcome.replies);
        assert!(encoded.is_unique(), "{request:?}");
    }
}

#[test]
fn damaged_bytes_are_errors_and_never_panics() {
    let requests = commands().into_iter().map(Request::from).collect();
    let encoded = entry_to(&Entry { clock_ms: 1, wall_ms: 2, requests });
    for at in 0..encoded.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = encoded.to_vec();
            changed[at] ^= change;
            let _ = entry_from(&changed.into());
        }
        let _ = entry_from(&encoded.slice(..at));
    }
    let unknown = ringfence_proto::storage::Request { id: None, command: None };
    assert!(super::request_from(unknown).is_err());
    let empty = ringfence_proto::storage::Result::decode(&[][..]).unwrap();
    assert!(result_from(empty).is_err());
}
