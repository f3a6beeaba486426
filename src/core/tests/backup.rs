//! What a new cluster begins with, out of a backup.

use bytes::Bytes;
use ringfence_core::backup::BadJump;
use ringfence_core::query::{Changes, Owner, Queue, Range, Select, Session, Stats};
use ringfence_core::{Claim, Command, Entry, Mode, Op, Put, Refusal, Reply, Request, SessionId, Span, State, Txn};

const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);
const JUMP: u64 = 1_000_000_000;
const TTL_MS: u64 = 5000;

fn apply(state: &mut State, clock_ms: u64, commands: Vec<Command>) -> Vec<Reply> {
    let requests = commands.into_iter().map(Request::from).collect();
    let outcome = state.apply(&Entry { clock_ms, wall_ms: clock_ms, requests });
    outcome.replies.into_iter().map(Result::unwrap).collect()
}

fn open(id: SessionId) -> Command {
    Command::OpenSession { id, ttl_ms: TTL_MS, owner: "app".to_owned() }
}

fn claim(name: &'static str, session: SessionId) -> Command {
    let (name, suffix, value) = (Bytes::from(name), Bytes::new(), Bytes::new());
    Command::Claim(Claim { name, session, suffix, mode: Mode::Exclusive, value, attempt: 1, only_if_free: false })
}

fn put(value: &'static str) -> Command {
    let put = Put { key: "key".into(), value: value.into(), session: None, sequential: false, prev: false };
    Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() })
}

/// Session one owns `lock` since revision 3, two waits for it; both have spent 4 s of their TTL.
fn backup() -> State {
    let mut state = State::default();
    let commands = vec![open(ONE), open(TWO), put("old"), put("new"), claim("lock", ONE), claim("lock", TWO)];
    apply(&mut state, 1000, commands);
    apply(&mut state, TTL_MS, vec![put("newest")]);
    state
}

fn restored() -> State {
    let state = State::restore(backup().records()).unwrap().restored_from_backup(JUMP).unwrap();
    assert_eq!(state.verify_invariants(), Ok(()));
    // It stands a snapshot.
    let again = State::restore(state.records()).unwrap();
    assert_eq!(again.read(&Stats), state.read(&Stats));
    state
}

fn value(state: &State, revision: u64) -> Result<Bytes, Refusal> {
    let select = Select::Span(Span::Key("key".into()));
    let range = Range { select, limit: 1, keys_only: false, count_only: false, revision, descending: false };
    state.read(&range).map(|answer| answer.keys[0].value.clone())
}

#[test]
fn the_revision_jumps_and_tokens_with_it() {
    let (before, mut state) = (backup(), restored());
    let revision = before.read(&Stats).unwrap().revision;
    assert_eq!(state.read(&Stats).unwrap().revision, revision + JUMP);
    assert_ne!(state.read(&Stats).unwrap().hash, before.read(&Stats).unwrap().hash);
    let Reply::Claimed(claimed) = apply(&mut state, 0, vec![claim("other", TWO)]).remove(0) else { panic!() };
    assert_eq!(claimed.token, revision + JUMP + 1);
}

#[test]
fn keys_stay_and_history_counts_as_compacted() {
    let mut state = restored();
    let newest = state.read(&Stats).unwrap().revision;
    assert_eq!(value(&state, 0).unwrap(), "newest");
    assert_eq!(value(&state, newest).unwrap(), "newest");
    let compacted = |requested| Refusal::RevisionCompacted { requested, compacted: newest };
    for requested in [1, 4, 6, newest - 1] {
        assert_eq!(value(&state, requested), Err(compacted(requested)));
    }
    // A watch from any revision of the old cluster hears of it, and none from the next one on misses anything.
    let changes = |state: &State, from| state.read(&Changes { from, bytes_max: usize::MAX });
    for from in [1, 5, 7, newest] {
        assert_eq!(changes(&state, from), Err(compacted(from)));
    }
    apply(&mut state, 0, vec![put("after")]);
    assert_eq!(changes(&state, newest + 1).unwrap().len(), 1);
}

#[test]
fn sessions_have_their_whole_ttl_and_owners_stay() {
    let mut state = restored();
    assert_eq!(state.read(&Session(ONE)).unwrap().remaining_ms, TTL_MS);
    assert!(state.read(&Owner { name: "lock".into(), token: 3 }).unwrap().owner);
    let just_before = 2 * TTL_MS - 1;
    apply(&mut state, just_before, vec![Command::RenewSessions { ids: vec![ONE] }]);
    assert_eq!(state.read(&Session(ONE)).unwrap().remaining_ms, TTL_MS);
    apply(&mut state, just_before + 1, vec![]);
    assert_eq!(state.read(&Session(TWO)), Err(Refusal::SessionUnknown(TWO)), "it wasn't renewed");
}

#[test]
fn a_session_that_was_over_stays_over() {
    let mut state = backup();
    apply(&mut state, 5500, vec![Command::RenewSessions { ids: vec![TWO] }]);
    let mut records: Vec<_> = state.records().collect();
    for record in &mut records {
        if let ringfence_core::snapshot::Record::Session(session) = record
            && session.id == ONE
        {
            session.deadline_ms = 5000;
        }
    }
    let mut state = State::restore(records).unwrap().restored_from_backup(JUMP).unwrap();
    apply(&mut state, 5500, vec![]);
    assert_eq!(state.read(&Session(ONE)), Err(Refusal::SessionUnknown(ONE)));
    assert!(state.read(&Session(TWO)).is_ok());
}

#[test]
fn who_waits_asks_again_and_gets_a_greater_token() {
    let mut state = restored();
    let newest = state.read(&Stats).unwrap().revision;
    let queue = |state: &State| state.read(&Queue { name: "lock".into(), limit: 10 }).unwrap();
    assert_eq!((queue(&state).owning, queue(&state).waiting), (1, 0));
    assert!(state.read(&Session(TWO)).unwrap().keys.is_empty());
    apply(&mut state, 0, vec![claim("lock", TWO)]);
    apply(&mut state, 0, vec![Command::ForceRelease { name: "lock".into(), token: 3 }]);
    assert!(queue(&state).owners[0].token > newest);
}

#[test]
fn a_jump_that_gives_tokens_out_again_or_leaves_no_room_is_refused() {
    assert_eq!(backup().restored_from_backup(0).err(), Some(BadJump::Zero));
    let revision = backup().read(&Stats).unwrap().revision;
    for jump in [i64::MAX as u64, u64::MAX] {
        assert_eq!(backup().restored_from_backup(jump).err(), Some(BadJump::TooFar { revision, jump }));
    }
    let most = i64::MAX as u64 - (1 << 32) - revision;
    let state = backup().restored_from_backup(most).unwrap();
    assert_eq!(state.verify_invariants(), Ok(()));
    assert!(State::restore(state.records()).is_ok());
    assert!(backup().restored_from_backup(most + 1).is_err());
}
