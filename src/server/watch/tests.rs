//! The hub with a replica that is fed by hand.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use ringfence_core::{Command, Entry, Op, Outcome, Put, Request, Revision, Span, Txn, query::Stats};

use super::*;

struct World {
    replica: Arc<Replica>,
    hub: Arc<Hub>,
    mailbox: Mailbox,
}

impl World {
    fn new() -> Self {
        let replica = Replica::new();
        let hub = Hub::new(replica.clone());
        Self { replica, hub, mailbox: Mailbox::default() }
    }

    fn apply(&self, command: Command) -> Outcome {
        let entry = Entry { requests: vec![Request::from(command)], ..Entry::default() };
        self.replica.apply(self.replica.applied() + 1, Some(&entry))
    }

    fn txn(&self, ops: Vec<Op>) -> Revision {
        self.apply(Command::Txn(Txn { then: ops, ..Txn::default() }));
        self.replica.revision()
    }

    fn put(&self, key: &str, value: impl Into<Bytes>) -> Revision {
        self.txn(vec![put(key, value)])
    }

    fn delete(&self, key: &str) -> Revision {
        self.txn(vec![Op::Delete { span: Span::Key(bytes(key)), prev: false }])
    }

    fn compact(&self, revision: Revision) {
        self.apply(Command::Compact { revision });
    }

    fn watch(&self, span: Span, begin: Begin) -> Watching {
        self.hub.watch(filter(span), begin, &self.mailbox, 1)
    }

    /// Replaces the state by a copy of itself with these writes on top, as a snapshot from the leader does.
    fn install(&self, keys: &[&str]) {
        let (index, mut state) = self.replica.state();
        for key in keys {
            let txn = Command::Txn(Txn { then: vec![put(key, "installed")], ..Txn::default() });
            state.apply(&Entry { requests: vec![txn.into()], ..Entry::default() });
        }
        self.replica.install(index + keys.len() as u64, state);
    }
}

fn put(key: &str, value: impl Into<Bytes>) -> Op {
    Op::Put(Put { key: bytes(key), value: value.into(), session: None, sequential: false, prev: false })
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn filter(span: Span) -> Filter {
    Filter { span, no_put: false, no_delete: false }
}

fn prefix(prefix: &str) -> Span {
    Span::Prefix(bytes(prefix))
}

/// What a watch told: `revision key` of each event, and how it ended.
#[derive(Default, Debug, PartialEq)]
struct Told {
    events: Vec<(Revision, String)>,
    snapshot: Vec<(Revision, String)>,
    complete: bool,
    end: Option<End>,
}

impl Told {
    fn take(&mut self, watching: &mut Watching) -> bool {
        match watching.step() {
            Step::Idle => return false,
            Step::Again => {}
            Step::Snapshot { revision, keys, complete } => {
                // A part of another snapshot begins anew.
                self.snapshot.retain(|(before, _)| *before == revision);
                self.complete = complete;
                self.snapshot.extend(keys.into_iter().map(|key| (revision, text(&key.key))));
            }
            Step::Events(changes) => {
                for change in &changes {
                    let own: Vec<_> = watching.select(change).collect();
                    assert!(!own.is_empty(), "a change that concerns the watch not at all");
                    self.events.extend(own.into_iter().map(|event| (change.revision, text(&event.key.key))));
                }
            }
            Step::Over(end) => {
                self.end = Some(end);
                return false;
            }
        }
        true
    }

    fn drain(watching: &mut Watching) -> Self {
        let mut told = Self::default();
        while told.take(watching) {}
        told
    }
}

fn text(key: &Bytes) -> String {
    String::from_utf8(key.to_vec()).unwrap()
}

fn told(events: &[(Revision, &str)]) -> Vec<(Revision, String)> {
    events.iter().map(|(revision, key)| (*revision, (*key).to_owned())).collect()
}

#[test]
fn a_live_watch_tells_each_event_once_and_in_order() {
    let world = World::new();
    world.put("a/0", "before");
    let mut watching = world.watch(prefix("a/"), Begin::Next);
    let first = world.put("a/1", "x");
    world.put("b/1", "not for this watch");
    let second = world.txn(vec![put("a/2", "x"), put("b/2", "x"), put("a/3", "x")]);
    let third = world.delete("a/1");
    let events = Told::drain(&mut watching).events;
    assert_eq!(events, told(&[(first, "a/1"), (second, "a/2"), (second, "a/3"), (third, "a/1")]));
    assert_eq!(Told::drain(&mut watching), Told::default());
}

#[test]
fn a_watch_from_the_past_reads_history_and_then_follows() {
    let world = World::new();
    let first = world.put("a", "1");
    let second = world.put("a", "2");
    let mut watching = world.watch(Span::Key(bytes("a")), Begin::At(first));
    let mut events = Told::default();
    assert!(events.take(&mut watching));
    let third = world.put("a", "3");
    while events.take(&mut watching) {}
    let fourth = world.put("a", "4");
    while events.take(&mut watching) {}
    assert_eq!(events.events, told(&[(first, "a"), (second, "a"), (third, "a"), (fourth, "a")]));
}

#[test]
fn a_watch_from_the_future_begins_there() {
    let world = World::new();
    world.put("a", "1");
    let mut watching = world.watch(Span::Key(bytes("a")), Begin::At(4));
    for value in ["2", "3", "4", "5"] {
        world.put("a", value);
    }
    assert_eq!(Told::drain(&mut watching).events, told(&[(4, "a"), (5, "a")]));
}

#[test]
fn filters_and_ranges_leave_the_rest_out() {
    let world = World::new();
    let between = Span::Between { start: bytes("b"), end: bytes("d") };
    let deletions = Filter { span: between, no_put: true, no_delete: false };
    let mut watching = world.hub.watch(deletions, Begin::Next, &world.mailbox, 1);
    for key in ["a", "b", "c", "d"] {
        world.put(key, "x");
    }
    assert!(matches!(watching.step(), Step::Idle));
    let gone: Vec<_> = ["a", "b", "c", "d"].map(|key| world.delete(key)).into();
    assert_eq!(Told::drain(&mut watching).events, told(&[(gone[1], "b"), (gone[2], "c")]));
}

#[test]
fn a_slow_watch_is_switched_to_history_and_loses_nothing() {
    let world = World::new();
    let mut watching = world.watch(prefix("a/"), Begin::Next);
    let value = vec![7; 100 << 10];
    let expected: Vec<_> = (0..40).map(|i| format!("a/{i}")).map(|key| (world.put(&key, value.clone()), key)).collect();
    assert!(!watching.feed.position().live, "forty times 100 KiB are beyond the buffer");
    assert_eq!(watching.feed.position().bytes, 0);
    assert_eq!(Told::drain(&mut watching).events, expected);
    // And live again.
    let last = world.put("a/last", "x");
    assert!(watching.feed.position().live);
    assert_eq!(Told::drain(&mut watching).events, told(&[(last, "a/last")]));
}

#[test]
fn a_watch_that_begins_in_what_was_compacted_is_told_so() {
    let world = World::new();
    for value in ["1", "2", "3"] {
        world.put("a", value);
    }
    world.compact(2);
    let mut watching = world.watch(Span::Key(bytes("a")), Begin::At(1));
    assert_eq!(Told::drain(&mut watching).end, Some(End::Compacted { compacted: 2 }));
    assert_eq!(watching.next_revision(), 1);
}

#[test]
fn a_watch_that_falls_behind_a_compaction_is_told_that_it_was_slow() {
    let world = World::new();
    let mut watching = world.watch(prefix("a"), Begin::Next);
    for _ in 0..20 {
        world.put("a", vec![7; 100 << 10]);
    }
    world.compact(15);
    assert_eq!(Told::drain(&mut watching).end, Some(End::Slow { compacted: 15 }));
}

#[test]
fn an_idle_watch_survives_compaction_and_a_burst() {
    let world = World::new();
    let mut watching = world.watch(prefix("a"), Begin::Next);
    for _ in 0..10 {
        world.put("b", "not for this watch");
    }
    world.compact(10);
    let expected: Vec<_> = (0..20).map(|_| (world.put("a", vec![7; 100 << 10]), "a".to_owned())).collect();
    assert_eq!(Told::drain(&mut watching).events, expected);
}

#[test]
fn a_snapshot_is_followed_by_what_came_after_it() {
    let world = World::new();
    let keys: Vec<_> = (0..2500).map(|i| format!("a/{i:04}")).collect();
    for key in &keys {
        world.put(key, "x");
    }
    let at = world.put("b", "not for this watch");
    let mut watching = world.watch(prefix("a/"), Begin::Snapshot);
    let mut events = Told::default();
    assert!(events.take(&mut watching));
    assert_eq!(watching.progress(), None);
    // Between two parts: a change of what was told already and one of what was not.
    let first = world.put("a/0001", "y");
    let second = world.delete("a/2400");
    while events.take(&mut watching) {}
    assert!(events.complete);
    let expected: Vec<_> = keys.iter().map(|key| (at, key.clone())).collect();
    assert_eq!(events.snapshot, expected);
    assert_eq!(events.events, told(&[(first, "a/0001"), (second, "a/2400")]));
}

#[test]
fn a_snapshot_watch_that_was_too_slow_gets_the_present_state_again() {
    let world = World::new();
    world.put("a/1", "x");
    let mut watching = world.watch(prefix("a/"), Begin::Snapshot);
    Told::drain(&mut watching);
    for _ in 0..20 {
        world.put("a/1", vec![7; 100 << 10]);
    }
    let at = world.put("a/2", "x");
    world.compact(at);
    let again = Told::drain(&mut watching);
    assert_eq!((again.end, again.complete), (None, true));
    assert_eq!(again.snapshot, told(&[(at, "a/1"), (at, "a/2")]));
    let last = world.put("a/3", "x");
    assert_eq!(Told::drain(&mut watching).events, told(&[(last, "a/3")]));
}

#[test]
fn a_snapshot_of_the_empty_state_is_empty() {
    let world = World::new();
    let mut watching = world.watch(prefix(""), Begin::Snapshot);
    let first = world.put("a", "x");
    let all = Told::drain(&mut watching);
    assert!(all.complete && all.snapshot.is_empty());
    assert_eq!(all.events, told(&[(first, "a")]));
}

#[test]
fn progress_is_never_ahead_of_what_was_told() {
    let world = World::new();
    let mut watching = world.watch(prefix("a"), Begin::Next);
    let before = world.put("b", "x");
    assert_eq!(watching.progress(), Some(before));
    let first = world.put("a", "x");
    let after = world.put("b", "x");
    assert_eq!(watching.progress(), Some(first - 1));
    assert_eq!(Told::drain(&mut watching).events, told(&[(first, "a")]));
    assert_eq!(watching.progress(), Some(after));
    let future = world.watch(prefix("a"), Begin::At(after + 10));
    assert_eq!(future.progress(), None);
}

#[test]
fn an_installed_snapshot_loses_and_doubles_nothing() {
    let world = World::new();
    let mut watching = world.watch(prefix("a"), Begin::Next);
    let first = world.put("a1", "x");
    world.install(&["a2", "b", "a3"]);
    let last = world.put("a4", "x");
    let events = Told::drain(&mut watching).events;
    assert_eq!(events, told(&[(first, "a1"), (first + 1, "a2"), (first + 3, "a3"), (last, "a4")]));
}

#[test]
fn a_watch_that_is_dropped_leaves_nothing_behind() {
    let world = World::new();
    let spans = [Span::Key(bytes("a")), prefix("a"), Span::Between { start: bytes("a"), end: bytes("b") }];
    let watches: Vec<_> = spans.into_iter().map(|span| world.watch(span, Begin::Next)).collect();
    assert_eq!(world.hub.watches(), 3);
    drop(watches);
    assert_eq!(world.hub.watches(), 0);
    world.put("a", "x");
}

/// Whatever the order in which writes, steps, snapshots and compactions come, a watch tells exactly the events from its beginning on.
#[test]
fn any_interleaving_tells_each_event_once_and_in_order() {
    for seed in 0..50 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let world = World::new();
        let mut expected = Vec::new();
        let mut watches: Vec<(Watching, Revision, Told)> = Vec::new();
        for _ in 0..200 {
            match rng.random_range(0..10) {
                0..4 => {
                    let key = format!("{}{}", ["a", "b"][rng.random_range(0..2)], rng.random_range(0..5));
                    let size = [1, 100 << 10, 600 << 10][rng.random_range(0..3)];
                    expected.push((world.put(&key, vec![0; size]), key));
                }
                4 => {
                    world.install(&["a-installed"]);
                    expected.push((world.replica.revision(), "a-installed".to_owned()));
                }
                5 if watches.len() < 4 => {
                    let newest = world.replica.revision();
                    let from = rng.random_range(1..newest + 3);
                    watches.push((world.watch(prefix("a"), Begin::At(from)), from, Told::default()));
                }
                _ if !watches.is_empty() => {
                    let turn = rng.random_range(0..watches.len());
                    let (watching, _, told) = &mut watches[turn];
                    told.take(watching);
                    let delivered = told.events.last().map_or(0, |last| last.0);
                    let done = watching.progress().unwrap_or(0);
                    let between = |event: &&(Revision, String)| {
                        event.0 > delivered && event.0 <= done && event.1.starts_with('a') && event.0 >= watches[turn].1
                    };
                    assert_eq!(expected.iter().find(between), None, "seed {seed}: progress ahead of events");
                }
                _ => {}
            }
        }
        for (watching, from, told) in &mut watches {
            while told.take(watching) {}
            let own: Vec<_> =
                expected.iter().filter(|(revision, key)| revision >= from && key.starts_with('a')).cloned().collect();
            assert_eq!(told.events, own, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_signal_counts_what_came_between_two_waits() {
    let signals = Signals::default();
    let mut signal = signals.listen(bytes("name"));
    let mut other = signals.listen(bytes("other"));
    assert!(signal.raised().now_or_never().is_none());
    signals.raise(b"name");
    signals.raise(b"name");
    assert!(signal.raised().now_or_never().is_some());
    assert!(signal.raised().now_or_never().is_none());
    assert!(other.raised().now_or_never().is_none());
    signals.raise_all();
    assert!(other.raised().now_or_never().is_some());
    drop((signal, other));
    assert!(signals.is_empty());
}

#[tokio::test]
async fn the_mailbox_names_each_ready_watch_once_in_turn() {
    let mailbox = Mailbox::default();
    assert!(mailbox.wait().now_or_never().is_none());
    for number in [1, 2, 1] {
        mailbox.ready(number);
    }
    mailbox.wait().await;
    assert_eq!([mailbox.take(), mailbox.take(), mailbox.take()], [Some(1), Some(2), None]);
    assert!(mailbox.wait().now_or_never().is_none());
}

#[test]
fn the_state_and_the_replica_count_revisions_alike() {
    let world = World::new();
    world.put("a", "x");
    assert_eq!(world.replica.read(&Stats).unwrap().revision, world.replica.revision());
}
