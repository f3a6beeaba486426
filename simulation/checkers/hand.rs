//! Histories written by hand.

use super::{Broken, Facts, Findings};
use crate::history::*;

/// What a checker finds in a history.
pub(super) fn broken(check: super::Checker, history: &History) -> Vec<Broken> {
    let mut findings = Findings::of("it");
    check(&Facts::of(history), &mut findings);
    assert!(findings.unknown.is_empty(), "{:?}", findings.unknown);
    findings.broken
}

/// The checker finds nothing.
pub(super) fn accepts(check: super::Checker, history: &History) {
    let found = broken(check, history);
    assert!(found.is_empty(), "{found:#?}");
}

/// The checker finds something, and says this of it.
pub(super) fn rejects(check: super::Checker, history: &History, word: &str) {
    let found = broken(check, history);
    assert!(found.iter().any(|broken| broken.what.contains(word)), "nothing says {word:?}: {found:#?}");
}

pub(super) fn put(key: &str, value: &str) -> Action {
    Action::Put { key: key.into(), value: value.into(), session: 0 }
}

pub(super) fn swap(key: &str, expected: Option<&str>, value: &str) -> Action {
    Action::Swap { key: key.into(), expected: expected.map(Into::into), value: value.into() }
}

pub(super) fn delete(key: &str) -> Action {
    Action::Delete { key: key.into() }
}

pub(super) fn get(key: &str) -> Action {
    Action::Get { key: key.into(), read: Read::Linearizable }
}

pub(super) fn stale(key: &str, min_revision: u64) -> Action {
    Action::Get { key: key.into(), read: Read::Stale { min_revision } }
}

pub(super) fn acquire(lock: &str, mode: Mode, session: u64) -> Action {
    Action::Acquire { lock: lock.into(), mode, session, suffix: String::new(), only_if_free: false }
}

pub(super) fn release(lock: &str, session: u64, token: u64) -> Action {
    Action::Release { lock: lock.into(), session, token }
}

pub(super) fn describe(lock: &str) -> Action {
    Action::Describe { lock: lock.into() }
}

pub(super) fn fenced(lock: &str, token: u64, key: &str, value: &str) -> Action {
    Action::FencedPut { lock: lock.into(), token, key: key.into(), value: value.into() }
}

pub(super) fn wrote(revision: u64) -> Ended {
    Ended::Ok(Answer::Wrote { revision })
}

pub(super) fn unchanged(revision: u64) -> Ended {
    Ended::Ok(Answer::Unchanged { revision })
}

pub(super) fn token(token: u64) -> Ended {
    Ended::Ok(Answer::Token { token })
}

pub(super) fn done() -> Ended {
    Ended::Ok(Answer::Done)
}

pub(super) fn owners(owners: &[u64], revision: u64) -> Ended {
    Ended::Ok(Answer::Queue { owners: owners.to_vec(), waiters: Vec::new(), revision })
}

pub(super) fn refused() -> Ended {
    Ended::Refused("refused".into())
}

pub(super) fn seen(key: &str, value: &str, mod_revision: u64) -> Seen {
    Seen { key: key.into(), value: value.into(), mod_revision }
}

/// Read this value of a key, at the revision; the version's own revision is the same.
pub(super) fn read(found: &[Seen], revision: u64) -> Ended {
    Ended::Ok(Answer::Read { found: found.to_vec(), revision })
}

pub(super) fn version(revision: u64, key: &str, value: Option<&str>) -> Version {
    Version { revision, key: key.into(), value: value.map(Into::into) }
}

pub(super) fn call(client: ClientId, start: Time, end: Time, action: Action, ended: Ended) -> Call {
    Call { client, start, end, action, ended }
}

/// A history of these calls; they needn't be in order.
pub(super) fn calls(mut calls: Vec<Call>) -> History {
    calls.sort_by_key(|call| call.end);
    History { calls, end: 1_000_000_000_000, clocks_within_allowance: true, ..History::default() }
}

/// Puts these entries into the log, the first at index 1, each applied by server 1 at its moment.
pub(super) fn log(history: &mut History, entries: Vec<(Time, Entry)>) {
    let mut revision = 0;
    for (index, (at, entry)) in (1..).zip(entries) {
        revision = entry.changes.last().map_or(revision, |version| version.revision);
        history.applied.push(Applied { server: 1, life: 1, at, index, hash: index, revision, installed: false });
        history.entries.insert(index, entry);
    }
}

/// An entry that changes these.
pub(super) fn changes(changes: &[Version]) -> Entry {
    Entry { changes: changes.to_vec(), ..Entry::default() }
}

/// A name, and a session, and a token.
fn three((name, session, token): &(&str, u64, u64)) -> (String, u64, u64) {
    ((*name).into(), *session, *token)
}

/// An entry in which claims become owners, and others end.
pub(super) fn moves(granted: &[(&str, u64, u64)], ended: &[(&str, u64, u64)]) -> Entry {
    Entry { granted: granted.iter().map(three).collect(), ended: ended.iter().map(three).collect(), ..Entry::default() }
}

/// An entry in which a claim is made, with its key, and perhaps granted.
pub(super) fn claims(lock: &str, session: u64, token: u64, mode: Mode, granted: bool) -> Entry {
    let who = [(lock, session, token)];
    let mut entry = moves(if granted { &who } else { &[] }, &[]);
    entry.claimed.push((lock.into(), session, token, mode));
    entry.changes.push(version(token, &key(lock, session), Some("")));
    entry
}

/// An entry in which a claim ends, with its key, and others are granted.
pub(super) fn leaves(lock: &str, session: u64, token: u64, revision: u64, granted: &[(&str, u64, u64)]) -> Entry {
    let mut entry = moves(granted, &[(lock, session, token)]);
    entry.changes.push(version(revision, &key(lock, session), None));
    entry
}

/// The key of a claim.
pub(super) fn key(lock: &str, session: u64) -> String {
    format!("{lock}/{session:016x}")
}
