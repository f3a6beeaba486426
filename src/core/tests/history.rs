//! Histories that are longer than what the lists of them keep in one piece.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringfence_core::query::{Changes, KeyHistory, Range, Select};
use ringfence_core::{Command, Entry, Op, Put, Request, Span, State, Txn};

const KEYS: u64 = 7;
const WRITES: u64 = 6000;
/// One write of so many is a deletion, of whatever key's turn it is.
const DELETES: u64 = 11;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key/{}", number % KEYS))
}

/// What each write of the test writes; `None` deletes.
fn write(number: u64) -> (Bytes, Option<Bytes>) {
    (key(number), (!number.is_multiple_of(DELETES)).then(|| Bytes::from(number.to_string())))
}

fn apply(state: &mut State, command: Command) {
    let outcome = state.apply(&Entry { clock_ms: 1, wall_ms: 1, requests: vec![Request::from(command)] });
    assert!(outcome.replies.iter().all(Result::is_ok), "{:?}", outcome.replies);
}

/// A state in which each revision is one write.
fn written() -> State {
    let mut state = State::default();
    for number in 1..=WRITES {
        let (key, value) = write(number);
        let op = match value {
            Some(value) => Op::Put(Put { key, value, session: None, sequential: false, prev: false }),
            None => Op::Delete { span: Span::Key(key), prev: false },
        };
        // A clone shares what is written next, as readers' states do.
        let _reader = state.clone();
        apply(&mut state, Command::Txn(Txn { then: vec![op], ..Txn::default() }));
    }
    state
}

/// All keys at a revision.
fn model(revision: u64) -> BTreeMap<Bytes, Bytes> {
    let mut keys = BTreeMap::new();
    for (key, value) in (1..=revision).map(write) {
        match value {
            Some(value) => keys.insert(key, value),
            None => keys.remove(&key),
        };
    }
    keys
}

fn at(state: &State, revision: u64) -> BTreeMap<Bytes, Bytes> {
    let range = Range {
        select: Select::Span(Span::Prefix(Bytes::from("key/"))),
        limit: 100,
        keys_only: false,
        count_only: false,
        revision,
        descending: revision.is_multiple_of(2),
    };
    state.read(&range).unwrap().keys.into_iter().map(|view| (view.key, view.value)).collect()
}

/// Everything from a revision on is as it was written, and nothing before it is told.
fn holds(state: &State, compacted: u64) {
    let froms = [compacted + 1, compacted + 2, WRITES / 2, WRITES - 65, WRITES - 64, WRITES, WRITES + 1];
    for from in froms.into_iter().filter(|from| *from > compacted) {
        let changes = state.read(&Changes { from, bytes_max: usize::MAX }).unwrap();
        assert_eq!(
            changes.iter().map(|change| change.revision).collect::<Vec<_>>(),
            (from..=WRITES).collect::<Vec<_>>()
        );
        for change in changes {
            let (key, value) = write(change.revision);
            let [event] = &change.events[..] else { panic!("{} events", change.events.len()) };
            assert_eq!((&event.key.key, &event.key.value), (&key, &value.unwrap_or_default()));
        }
    }
    assert!(compacted == 0 || state.read(&Changes { from: compacted, bytes_max: 1 }).is_err());
    for revision in (compacted.max(1)..=WRITES).step_by(97).chain([WRITES]) {
        assert_eq!(at(state, revision), model(revision), "at revision {revision}");
    }
    for number in 0..KEYS {
        let history = state.read(&KeyHistory { key: key(number), limit: 1000 }).unwrap().versions;
        let after = (1..=WRITES).rev().filter(|write| write % KEYS == number).take_while(|write| *write > compacted);
        let told = history.iter().map(|(view, _)| view.mod_revision);
        assert!(told.clone().filter(|revision| *revision > compacted).eq(after), "key {number}");
        // Of what was compacted the newest is left, unless it was a deletion.
        let base = told.filter(|revision| *revision <= compacted).collect::<Vec<_>>();
        let newest = (1..=compacted).rev().find(|write| write % KEYS == number);
        assert_eq!(base, newest.filter(|write| write % DELETES != 0).into_iter().collect::<Vec<_>>(), "key {number}");
    }
}

#[test]
fn long_histories_are_whole_before_and_after_compactions_and_snapshots() {
    let mut state = written();
    holds(&state, 0);
    for compacted in [1, 64, 65, 1000, 4097, WRITES - 70, WRITES - 1] {
        let before = state.clone();
        apply(&mut state, Command::Compact { revision: compacted });
        holds(&state, compacted);
        let restored = State::restore(state.records()).unwrap();
        holds(&restored, compacted);
        assert!(restored.records().eq(state.records()));
        assert_eq!(at(&before, WRITES), at(&state, WRITES), "a reader's state is its own");
    }
}
