//! What a snapshot must not be, and that the hash is the same on every machine.

use bytes::Bytes;
use ringfence_core::query::{Changes, Stats};
use ringfence_core::snapshot::{FORMAT, Record};
use ringfence_core::{Claim, Command, Entry, Mode, Op, Put, Request, RequestId, SessionId, State, Txn};

/// A state with something of everything.
fn state() -> State {
    let (one, two) = (SessionId(1), SessionId(2));
    let open = |id| Command::OpenSession { id, ttl_ms: 5000, owner: "app".to_owned() };
    let claim = |session, mode| {
        let (name, suffix) = (Bytes::from("lock"), Bytes::from("s"));
        Command::Claim(Claim { name, session, suffix, mode, value: "v".into(), attempt: 3, only_if_free: false })
    };
    let put = |key: &str, session| {
        let put = Put { key: key.to_owned().into(), value: "value".into(), session, sequential: false, prev: true };
        Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() })
    };
    let commands = [
        open(one),
        open(two),
        claim(one, Mode::Exclusive),
        claim(two, Mode::Shared),
        put("a", Some(one)),
        put("a", None),
    ];
    let mut requests: Vec<_> = commands.into_iter().map(Request::from).collect();
    requests.push(Request { id: Some(RequestId { session: one, sequence: 9 }), command: put("b", None) });
    let mut state = State::default();
    let outcome = state.apply(&Entry { clock_ms: 10, wall_ms: 20, requests });
    assert!(outcome.replies.iter().all(Result::is_ok));
    state
}

/// What restoring says about records that were changed.
fn damage(change: impl FnOnce(&mut Vec<Record>)) -> String {
    let mut records: Vec<_> = state().records().collect();
    change(&mut records);
    State::restore(records).unwrap_err().to_string()
}

/// What restoring says if each record is changed so.
fn edit(change: impl FnMut(&mut Record)) -> String {
    damage(|records| records.iter_mut().for_each(change))
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let message = edit(|record| {
        if let Record::Header(header) = record {
            header.format = FORMAT + 1;
        }
    });
    assert_eq!(message, "snapshot is damaged: its format is 2, and 1 is the one known here");
}

#[test]
fn what_was_cut_off_or_left_out_is_noticed() {
    assert_eq!(damage(|records| drop(records.pop())), "snapshot is damaged: its end is missing");
    assert_eq!(damage(Vec::clear), "snapshot is damaged: its end is missing");
    assert_eq!(damage(|records| drop(records.remove(0))), "snapshot is damaged: record 0 is out of order");
    for at in 1..state().records().count() - 1 {
        damage(|records| drop(records.remove(at)));
    }
    let twice = damage(|records| records.extend(records.clone()));
    assert_eq!(twice, "snapshot is damaged: records follow its end");
}

#[test]
fn records_that_contradict_each_other_are_refused() {
    let foreign = edit(|record| {
        if let Record::Version(version) = record {
            version.session = Some(SessionId(7));
        }
    });
    assert_eq!(foreign, "snapshot is damaged: claim 1 of lock: its key says otherwise");
    let future = edit(|record| {
        if let Record::Header(header) = record {
            header.revision = 2;
        }
    });
    assert!(future.contains("revision out of place"), "{future}");
    let endless = edit(|record| {
        if let Record::Session(session) = record {
            session.deadline_ms = 9999;
        }
    });
    assert!(endless.contains("would live longer than its TTL"), "{endless}");
    let unused = edit(|record| {
        if let Record::Remembered(remembered) = record {
            remembered.sequence = 10;
        }
    });
    assert!(unused.contains("sequence 10"), "{unused}");
    let early = edit(|record| {
        if let Record::Claim(claim) = record {
            claim.granted_wall_ms = 5;
        }
    });
    assert_eq!(early, "snapshot is damaged: claim 2 waits and was granted");
}

/// If this fails, what is hashed has changed: replicas of two versions would take each other for diverged. Raise the format's
/// version with it.
#[test]
fn the_hash_is_the_same_on_every_machine_and_in_every_version() {
    assert_eq!(state().read(&Stats).unwrap().hash, HASH);
}

const HASH: u64 = 17_410_091_084_118_031_479;

/// A restore from a backup makes the revision jump ahead, so that tokens given out after the backup are below all to come.
#[test]
fn a_revision_may_jump_ahead() {
    let mut records: Vec<_> = state().records().collect();
    if let Some(Record::Header(header)) = records.first_mut() {
        header.revision += 1_000_000;
    }
    let mut state = State::restore(records).unwrap();
    let before = state.read(&Stats).unwrap();
    let release = Command::ForceRelease { name: "lock".into(), token: 1 };
    let outcome = state.apply(&Entry { requests: vec![release.into()], ..Entry::default() });
    assert!(outcome.replies[0].is_ok());
    assert_eq!(outcome.changes[0].revision, before.revision + 1);
    let changes = Changes { from: 1, bytes_max: usize::MAX };
    let answer = state.read(&changes).unwrap();
    assert_eq!(answer.len(), 6);
    assert_eq!(answer.last(), outcome.changes.last());
    assert_eq!(state.verify_invariants(), Ok(()));
}
