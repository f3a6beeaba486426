//! Logs told by hand: what they must have been, and what no checker may let pass.

use ringfence_simulation::{
    checkers,
    history::{Belief, Renewed, Seen, Version},
};

use super::*;

fn claim(revision: u64, session: u64, mode: Mode) -> Vec<Change> {
    let key = format!("l/0/{session:016x}-a");
    let version = Version { revision, key, value: Some(mode.to_string()) };
    vec![Change { version, claimed_by: session, first: true }]
}

fn gone(revision: u64, key: String) -> Vec<Change> {
    vec![Change { version: Version { revision, key, value: None }, claimed_by: 0, first: false }]
}

fn leaves(revision: u64, session: u64) -> Vec<Change> {
    gone(revision, format!("l/0/{session:016x}-a"))
}

/// Each revision is told at ten times its number.
fn told(all: Vec<Vec<Change>>) -> ByRevision {
    (1..).zip(all).map(|(revision, changes)| (revision, (revision * 10, changes))).collect()
}

fn call(end: Time, action: Action, ended: Ended) -> Call {
    Call { client: 1, start: end - 1, end, action, ended }
}

fn granted(entries: &BTreeMap<u64, Entry>) -> Vec<(u64, u64)> {
    entries.iter().flat_map(|(index, entry)| entry.granted.iter().map(|(_, _, token)| (*index, *token))).collect()
}

#[test]
fn owners_are_those_whose_turn_it_is() {
    use Mode::{Exclusive, Permits, Shared};
    let turn = |modes: [Mode; 3]| {
        let mut all: Vec<_> = (1..).zip(modes).map(|(n, mode)| claim(n, n, mode)).collect();
        all.push(leaves(4, 1));
        granted(&entries(&told(all), &[]))
    };
    assert_eq!(turn([Exclusive, Exclusive, Shared]), [(1, 1), (4, 2)]);
    assert_eq!(turn([Exclusive, Shared, Shared]), [(1, 1), (4, 2), (4, 3)]);
    assert_eq!(turn([Shared, Exclusive, Shared]), [(1, 1), (4, 2)]);
    assert_eq!(turn([Permits(2), Permits(2), Permits(2)]), [(1, 1), (2, 2), (4, 3)]);
}

#[test]
fn a_claim_that_went_without_a_word_expired() {
    let told = told(vec![claim(1, 7, Mode::Exclusive), leaves(2, 7)]);
    let acquire = Action::Acquire {
        lock: "l/0".into(),
        mode: Mode::Exclusive,
        session: 7,
        suffix: String::new(),
        only_if_free: false,
    };
    let held = call(5, acquire, Ended::Ok(Answer::Token { token: 1 }));
    assert_eq!(entries(&told, std::slice::from_ref(&held))[&2].expired, [7]);
    for action in [Action::Release { lock: "l/0".into(), session: 7, token: 1 }, Action::CloseSession { session: 7 }] {
        let calls = [held.clone(), call(9, action.clone(), Ended::Unknown)];
        assert_eq!(entries(&told, &calls)[&2].expired, [0; 0]);
        // Whoever gives back what is gone already did not end it.
        let calls = [held.clone(), call(99, action, Ended::Unknown)];
        assert_eq!(entries(&told, &calls)[&2].expired, [7]);
    }
    // Nobody was told that it was granted: its wait may have been given up.
    assert_eq!(entries(&told, &[])[&2].expired, [0; 0]);
}

#[test]
fn a_key_of_a_session_goes_with_it() {
    let told = told(vec![gone(1, "s/00000000000000ff/0".into()), gone(2, "k/1".into())]);
    let entries = entries(&told, &[]);
    assert_eq!((&entries[&1].expired[..], entries[&2].expired.len()), (&[255][..], 0));
}

#[test]
fn a_description_that_shows_another_queue_is_found() {
    let told = told(vec![claim(1, 7, Mode::Exclusive), claim(2, 8, Mode::Exclusive), leaves(3, 7)]);
    let shown = |revision, owners: &[u64], waiters: &[u64]| {
        let queue = Answer::Queue { owners: owners.to_vec(), waiters: waiters.to_vec(), revision };
        described(&told, &[call(9, Action::Describe { lock: "l/0".into() }, Ended::Ok(queue))]).len()
    };
    assert_eq!((shown(1, &[1], &[]), shown(2, &[1], &[2]), shown(3, &[2], &[])), (0, 0, 0));
    assert_eq!((shown(2, &[1, 2], &[]), shown(3, &[1], &[2]), shown(3, &[], &[])), (1, 1, 1));
}

#[test]
fn a_revision_is_known_from_the_first_who_was_told_of_it_or_of_a_later_one() {
    let mut history = History::default();
    let wrote = |revision| Ended::Ok(Answer::Wrote { revision });
    history.calls = vec![
        call(50, Action::Delete { key: "k".into() }, wrote(2)),
        call(60, Action::Compact { revision: 9 }, wrote(9)),
    ];
    assert_eq!(known(&history, &[(40, 1), (70, 3)]), [(1, 40), (2, 50), (3, 70)]);
}

/// Which checkers reject what these were told and answered.
fn rejected(told: &ByRevision, calls: Vec<Call>, beliefs: Vec<Belief>) -> Vec<&'static str> {
    let mut history = History { calls, beliefs, clocks_within_allowance: true, end: 1000, ..History::default() };
    // Both sessions live on: nothing goes by itself.
    history.renewals = [7, 8].map(|session| Renewed { session, ttl_ms: 10_000, sent: 1, acknowledged: 2 }).to_vec();
    history.entries = entries(told, &history.calls);
    let heard: Vec<_> = told.iter().map(|(revision, (at, _))| (*at, *revision)).collect();
    history.known = known(&history, &heard);
    let mut left: BTreeMap<&str, _> = BTreeMap::new();
    for version in told.values().flat_map(|(_, changes)| changes).map(|change| &change.version) {
        left.insert(&version.key, version);
    }
    let seen = |version: &Version| {
        let value = version.value.clone()?;
        Some(Seen { key: version.key.clone(), value, mod_revision: version.revision })
    };
    history.last = left.into_values().filter_map(seen).collect();
    let mut checkers: Vec<_> = checkers::check(&history).broken.into_iter().map(|broken| broken.checker).collect();
    checkers.dedup();
    checkers
}

fn put(revision: u64, value: &str) -> Vec<Change> {
    let version = Version { revision, key: "k/1".into(), value: Some(value.into()) };
    vec![Change { version, claimed_by: 0, first: false }]
}

fn puts(start: Time, end: Time, value: &str, revision: u64) -> Call {
    let action = Action::Put { key: "k/1".into(), value: value.into(), session: 0 };
    Call { client: 1, start, end, action, ended: Ended::Ok(Answer::Wrote { revision }) }
}

fn takes(start: Time, end: Time, session: u64, token: u64) -> Call {
    let (lock, suffix) = ("l/0".into(), String::new());
    let action = Action::Acquire { lock, mode: Mode::Exclusive, session, suffix, only_if_free: false };
    Call { client: 1, start, end, action, ended: Ended::Ok(Answer::Token { token }) }
}

#[test]
fn an_acknowledged_write_that_nobody_was_told_of_is_found() {
    let told = told(vec![put(1, "v1"), put(2, "v2")]);
    assert_eq!(rejected(&told, vec![puts(1, 9, "v1", 1), puts(11, 19, "v2", 2)], vec![]), [""; 0]);
    let lost = rejected(&told, vec![puts(1, 9, "v1", 1), puts(11, 19, "v3", 2)], vec![]);
    assert!(lost.contains(&"durability"), "{lost:?}");
    let late = rejected(&told, vec![puts(1, 9, "v2", 2), puts(11, 19, "v1", 1)], vec![]);
    assert!(late.contains(&"revision_order"), "{late:?}");
}

#[test]
fn two_owners_of_one_lock_are_found() {
    let told = told(vec![claim(1, 7, Mode::Exclusive), claim(2, 8, Mode::Exclusive), leaves(3, 7)]);
    let believes = |token, at| Belief { client: 1, lock: "l/0".into(), mode: Mode::Exclusive, token, at };
    let release = Action::Release { lock: "l/0".into(), session: 7, token: 1 };
    let released = Call { client: 1, start: 25, end: 30, action: release, ended: Ended::Ok(Answer::Done) };
    let both = vec![takes(1, 9, 7, 1), released.clone(), takes(11, 40, 8, 2)];
    assert_eq!(rejected(&told, both.clone(), vec![believes(1, 24), believes(2, 41)]), [""; 0]);
    // The first one goes on believing, after the second was told that it owns it.
    let belief = rejected(&told, both, vec![believes(1, 45)]);
    assert_eq!(belief, ["one_owner"]);
    // The second is told that it owns it before the first gave it back.
    let early = rejected(&told, vec![takes(1, 9, 7, 1), released, takes(11, 19, 8, 2)], vec![]);
    assert_eq!(early, ["linearizable_locks"]);
}

#[test]
fn a_session_that_ends_early_is_found() {
    let told = told(vec![claim(1, 7, Mode::Exclusive), leaves(2, 7)]);
    let mut history = History { calls: vec![takes(1, 9, 7, 1)], end: 1000, ..History::default() };
    history.entries = entries(&told, &history.calls);
    history.known = known(&history, &[(20, 2)]);
    history.last_revision = 2;
    let renewed = |ttl_ms| Renewed { session: 7, ttl_ms, sent: 5, acknowledged: 8 };
    history.renewals = vec![renewed(500)];
    let broken = checkers::check(&history).broken;
    assert!(broken.iter().any(|broken| broken.checker == "leases"), "{broken:?}");
}
