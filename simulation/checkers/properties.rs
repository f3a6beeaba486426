//! Histories of a cluster that makes no mistake pass all checkers, and those with one mistake don't.
//!
//! The cluster here is a map and some queues; each call takes effect at one moment between its start and its end, and many are under way at once.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::hand::{claims, describe, fenced, get, key, leaves, owners, put, stale, swap, version};
use super::{Broken, check};
use crate::history::*;

const KEYS: u64 = 8;
const LOCKS: u64 = 4;
const MS: Time = 1_000_000;

/// A lock's queue: token, session, who asked, and since when.
type Queue = Vec<(u64, u64, Time)>;

struct Cluster {
    random: SmallRng,
    history: History,
    now: Time,
    revision: u64,
    keys: BTreeMap<String, (String, u64)>,
    queues: BTreeMap<String, Queue>,
    index: u64,
}

impl Cluster {
    /// A history of so many steps.
    fn history(seed: u64, steps: u64) -> History {
        let mut cluster = Cluster {
            random: SmallRng::seed_from_u64(seed),
            history: History { clocks_within_allowance: true, ..History::default() },
            now: 1000 * MS,
            revision: 0,
            keys: BTreeMap::new(),
            queues: BTreeMap::new(),
            index: 0,
        };
        for session in 1..=steps {
            cluster.now += cluster.random.random_range(MS / 10..MS);
            cluster.step(session);
        }
        cluster.finish(steps)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    fn apply(&mut self, entry: Entry) {
        self.index += 1;
        self.revision = entry.changes.last().map_or(self.revision, |version| version.revision);
        for version in &entry.changes {
            match &version.value {
                Some(value) => drop(self.keys.insert(version.key.clone(), (value.clone(), version.revision))),
                None => drop(self.keys.remove(&version.key)),
            }
        }
        for server in 1..=3 {
            let (at, index, revision) = (self.now + (server - 1) * MS, self.index, self.revision);
            let applied = Applied { server, life: 1, at, index, hash: index * 31, revision, installed: false };
            self.history.applied.push(applied);
        }
        self.history.entries.insert(self.index, entry);
    }

    fn change(&mut self, changes: Vec<Version>) -> u64 {
        self.apply(Entry { changes, ..Entry::default() });
        self.revision
    }

    /// A call that takes effect now, or just did, with what it is answered; sometimes the answer is lost.
    fn call(&mut self, action: Action, answer: Answer) {
        let start = self.now - self.below(4 * MS);
        let end = self.now + 1 + self.below(4 * MS);
        let lost = self.below(20) == 0 && !matches!(action, Action::Acquire { .. });
        let ended = if lost { Ended::Unknown } else { Ended::Ok(answer) };
        self.history.calls.push(Call { client: 1 + (start % 16) as u32, start, end, action, ended });
    }

    fn step(&mut self, number: u64) {
        let name = format!("k/{}", self.below(KEYS));
        let (value, next) = (format!("v{number}"), self.revision + 1);
        let there = self.keys.get(&name).cloned();
        match self.below(10) {
            0..2 => {
                let revision = self.change(vec![version(next, &name, Some(&value))]);
                self.call(put(&name, &value), Answer::Wrote { revision });
            }
            2 => {
                let expected = if self.below(3) == 0 { None } else { there.clone() };
                let fits = expected == there;
                let changes = if fits { vec![version(next, &name, Some(&value))] } else { vec![] };
                let revision = self.change(changes);
                let answer = if fits { Answer::Wrote { revision } } else { Answer::Unchanged { revision } };
                self.call(swap(&name, expected.as_ref().map(|(value, _)| value.as_str()), &value), answer);
            }
            3 if there.is_some() => {
                let revision = self.change(vec![version(next, &name, None)]);
                self.call(Action::Delete { key: name }, Answer::Wrote { revision });
            }
            4 => {
                let pairs = vec![("k/0".to_owned(), format!("{value}a")), ("k/1".to_owned(), format!("{value}b"))];
                let revision = self.change(pairs.iter().map(|(key, value)| version(next, key, Some(value))).collect());
                self.call(Action::PutAll { pairs }, Answer::Wrote { revision });
            }
            5 | 6 => {
                let action = if self.below(2) == 0 { get(&name) } else { stale(&name, self.revision) };
                let found = self.found(&name);
                self.call(action, Answer::Read { found, revision: self.revision });
            }
            7 => {
                let found = self.found("k/");
                let action = Action::List { prefix: "k/".into(), read: Read::Linearizable };
                self.call(action, Answer::Read { found, revision: self.revision });
            }
            _ => self.lock(number),
        }
    }

    fn found(&self, prefix: &str) -> Vec<Seen> {
        let under = self.keys.iter().filter(|(key, _)| key.starts_with(prefix));
        under.map(|(key, (value, at))| Seen { key: key.clone(), value: value.clone(), mod_revision: *at }).collect()
    }

    /// Somebody comes to a lock, or its owner writes under it, or gives it back.
    fn lock(&mut self, session: u64) {
        let name = format!("l/{}", self.below(LOCKS));
        let mut queue = self.queues.remove(&name).unwrap_or_default();
        let next = self.revision + 1;
        let first = queue.first().copied();
        match (first, self.below(5)) {
            (Some((token, ..)), 0) => {
                let value = format!("f{session}");
                let revision = self.change(vec![version(next, "f", Some(&value))]);
                self.call(fenced(&name, token, "f", &value), Answer::Wrote { revision });
            }
            (Some((token, ..)), 1) => {
                let revision = self.revision;
                let waiters = queue.iter().skip(1).map(|(token, ..)| *token).collect();
                self.call(describe(&name), Answer::Queue { owners: vec![token], waiters, revision });
                let at = self.now;
                self.history.beliefs.push(Belief { client: 1, lock: name.clone(), mode: Mode::Exclusive, token, at });
            }
            (Some((token, owner, _)), 2 | 3) => {
                queue.remove(0);
                let heir = queue.first().map(|(token, session, _)| (name.as_str(), *session, *token));
                self.apply(leaves(&name, owner, token, next, heir.as_slice()));
                self.history.calls.push(Call {
                    client: 1,
                    start: self.now,
                    end: self.now + 1,
                    action: Action::Release { lock: name.clone(), session: owner, token },
                    ended: Ended::Ok(Answer::Done),
                });
                if let Some((token, session, since)) = queue.first().copied() {
                    self.acquired(&name, session, token, since);
                }
            }
            _ => {
                self.history.renewals.push(Renewed {
                    session,
                    ttl_ms: 3_600_000,
                    sent: self.now - 1,
                    acknowledged: self.now,
                });
                self.apply(claims(&name, session, next, Mode::Exclusive, queue.is_empty()));
                if queue.is_empty() {
                    self.acquired(&name, session, next, self.now);
                }
                queue.push((next, session, self.now));
            }
        }
        self.queues.insert(name, queue);
    }

    fn acquired(&mut self, lock: &str, session: u64, token: u64, since: Time) {
        let action = Action::Acquire {
            lock: lock.into(),
            mode: Mode::Exclusive,
            session,
            suffix: String::new(),
            only_if_free: false,
        };
        let ended = Ended::Ok(Answer::Token { token });
        // The owner does nothing before it knows.
        self.history.calls.push(Call { client: 1, start: since - 1, end: self.now + 1, action, ended });
        self.now += 2;
    }

    fn finish(mut self, steps: u64) -> History {
        self.history.end = self.now + 10 * MS;
        self.history.last = self.found("");
        self.history.last_revision = self.revision;
        self.history.calls.sort_by_key(|call| call.end);
        self.history.applied.sort_by_key(|applied| applied.at);
        for from in [0, 1, self.revision / 2] {
            let mut told: Vec<(Time, Told)> = Vec::new();
            let mut events: BTreeMap<u64, Vec<Version>> = BTreeMap::new();
            for version in self.history.entries.values().flat_map(|entry| &entry.changes) {
                if version.revision >= from && version.key.starts_with("k/") {
                    events.entry(version.revision).or_default().push(version.clone());
                }
            }
            told.extend(events.into_values().map(|events| (self.history.end, Told::Events(events))));
            told.push((self.history.end, Told::Progress { revision: self.revision }));
            let watch =
                Watch { client: 1, start: 1, prefix: "k/".into(), from, snapshot: false, told, to_the_end: true };
            self.history.watches.push(watch);
        }
        assert!(self.history.calls.len() as u64 > steps / 2, "most steps are calls");
        self.history
    }
}

fn broken(history: &History) -> Vec<Broken> {
    let verdict = check(history);
    assert!(verdict.unknown.is_empty(), "{:?}", verdict.unknown);
    verdict.broken
}

#[test]
fn a_cluster_without_mistakes_passes() {
    for seed in 0..20 {
        let found = broken(&Cluster::history(seed, 600));
        assert!(found.is_empty(), "seed {seed}: {:#?}", found.first());
    }
}

#[test]
fn a_long_history_passes_and_the_verdict_repeats() {
    let history = Cluster::history(7, 20_000);
    let found = broken(&history);
    assert!(found.is_empty(), "{:#?}", found.first());
    let mut damaged = history;
    damaged.entries.remove(&500);
    assert_eq!(broken(&damaged), broken(&damaged));
}

/// Makes one mistake somewhere; false if there was no place for it.
type Mistake = fn(&mut History, &mut SmallRng) -> bool;

/// A call that this fits, at random.
fn some_call<'a>(history: &'a mut History, random: &mut SmallRng, fits: fn(&Call) -> bool) -> Option<&'a mut Call> {
    let fitting = history.calls.iter().filter(|call| fits(call)).count();
    let which = random.random_range(0..fitting.max(1));
    history.calls.iter_mut().filter(|call| fits(call)).nth(which)
}

fn acknowledged(call: &Call) -> bool {
    matches!((&call.action, &call.ended), (Action::Put { .. } | Action::PutAll { .. }, Ended::Ok(_)))
}

fn read_something(call: &Call) -> bool {
    matches!(&call.ended, Ended::Ok(Answer::Read { found, .. }) if !found.is_empty())
}

fn some_entry<'a>(history: &'a mut History, random: &mut SmallRng, fits: fn(&Entry) -> bool) -> Option<&'a mut Entry> {
    let fitting = history.entries.values().filter(|entry| fits(entry)).count();
    let which = random.random_range(0..fitting.max(1));
    history.entries.values_mut().filter(|entry| fits(entry)).nth(which)
}

const MISTAKES: &[(&str, &str, Mistake)] = &[
    ("a write is lost", "durability", |history, random| {
        let entry = some_entry(history, random, |entry| entry.changes.iter().any(|version| version.value.is_some()));
        entry.map(|entry| entry.changes.clear()).is_some()
    }),
    ("a refused write is done", "one_effect", |history, random| {
        some_call(history, random, acknowledged).map(|call| call.ended = Ended::Refused("no".into())).is_some()
    }),
    ("a wrong revision is acknowledged", "one_effect", |history, random| {
        some_call(history, random, acknowledged)
            .map(|call| call.ended = Ended::Ok(Answer::Wrote { revision: 1 }))
            .is_some()
    }),
    ("a read is old", "revision_order", |history, random| {
        let read = |call: &Call| read_something(call) && call.start > 1100 * MS;
        let old = |call: &mut Call| call.ended = Ended::Ok(Answer::Read { found: vec![], revision: 0 });
        some_call(history, random, read).map(old).is_some()
    }),
    ("a read invents", "reads", |history, random| {
        let Some(call) = some_call(history, random, read_something) else { return false };
        let Ended::Ok(Answer::Read { found, .. }) = &mut call.ended else { return false };
        found[0].value = "invented".into();
        true
    }),
    ("a linearizable list invents", "linearizable_keys", |history, random| {
        let list = |call: &Call| read_something(call) && matches!(call.action, Action::List { .. });
        let Some(call) = some_call(history, random, list) else { return false };
        let Ended::Ok(Answer::Read { found, .. }) = &mut call.ended else { return false };
        found[0].value = "invented".into();
        true
    }),
    ("a lock is granted twice", "one_owner", |history, random| {
        let join = |entry: &Entry| !entry.claimed.is_empty() && entry.granted.is_empty();
        let Some(entry) = some_entry(history, random, join) else { return false };
        let (name, session, token, _) = entry.claimed[0].clone();
        entry.granted.push((name, session, token));
        true
    }),
    ("a waiter is forgotten", "queue_order", |history, random| {
        let hand_over = |entry: &Entry| !entry.granted.is_empty() && !entry.ended.is_empty();
        some_entry(history, random, hand_over).map(|entry| entry.granted.clear()).is_some()
    }),
    ("a description leaves the owner out", "linearizable_locks", |history, random| {
        let described = |call: &Call| matches!(call.ended, Ended::Ok(Answer::Queue { .. }));
        some_call(history, random, described).map(|call| call.ended = owners(&[999_999], 999)).is_some()
    }),
    ("a token comes again", "tokens", |history, random| {
        let late = |call: &Call| matches!(call.action, Action::Acquire { .. }) && call.start > 1100 * MS;
        some_call(history, random, late).map(|call| call.ended = Ended::Ok(Answer::Token { token: 1 })).is_some()
    }),
    ("a write under another's token", "fenced_register", |history, random| {
        let fenced = |call: &Call| matches!((&call.action, &call.ended), (Action::FencedPut { .. }, Ended::Ok(_)));
        let Some(call) = some_call(history, random, fenced) else { return false };
        let Action::FencedPut { token, .. } = &mut call.action else { return false };
        *token += 1_000_000;
        true
    }),
    ("an event is left out", "watches", |history, random| {
        let told = &mut history.watches[1].told;
        told.remove(random.random_range(0..told.len() - 1));
        true
    }),
    ("an event comes twice", "watches", |history, random| {
        let told = &mut history.watches[0].told;
        let which = random.random_range(0..told.len() - 1);
        told.insert(which, told[which].clone());
        true
    }),
    ("replicas differ", "replicas", |history, random| {
        let which = random.random_range(0..history.applied.len());
        history.applied[which].hash ^= 1;
        true
    }),
    ("an entry is applied twice", "replicas", |history, random| {
        let which = random.random_range(0..history.applied.len());
        history.applied.insert(which, history.applied[which]);
        true
    }),
    ("a session ends early", "leases", |history, _| {
        let session = history.renewals[0].session;
        history.entries.values_mut().last().map(|entry| entry.expired.push(session)).is_some()
    }),
    ("a claim stays after its release", "durability", |history, _| {
        history.last.push(Seen { key: key("l/0", 1), value: String::new(), mod_revision: 1 });
        true
    }),
];

#[test]
fn every_mistake_is_found() {
    for (mistake, checker, make) in MISTAKES {
        let mut made = 0;
        for seed in 0..4 {
            let mut history = Cluster::history(seed, 400);
            if !make(&mut history, &mut SmallRng::seed_from_u64(seed)) {
                continue;
            }
            made += 1;
            let found = broken(&history);
            assert!(
                found.iter().any(|broken| broken.checker == *checker),
                "{mistake}, seed {seed}: {checker} is silent: {found:#?}"
            );
        }
        assert!(made > 2, "{mistake}: there was hardly a place for it");
    }
}
