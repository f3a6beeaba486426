//! What holds for any log whatever.

mod generate;
mod model;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use ringfence_core::query::{Changes, KeyHistory, Queue, Queues, Range, Select, Sessions, Stats, StatsAnswer};
use ringfence_core::snapshot::Record;
use ringfence_core::{Change, Entry, Outcome, Request, Span, State};

use crate::model::Model;

fn records(state: &State) -> Vec<Record> {
    state.records().collect()
}

fn stats(state: &State) -> StatsAnswer {
    state.read(&Stats).unwrap()
}

/// All keys at a revision, 0 for the newest.
fn all(revision: u64) -> Range {
    let select = Select::Span(Span::Prefix(Bytes::new()));
    Range { select, limit: 10_000, keys_only: false, count_only: false, revision, descending: false }
}

fn changes(state: &State) -> Vec<Arc<Change>> {
    let from = stats(state).compacted + 1;
    state.read(&Changes { from, bytes_max: usize::MAX }).unwrap()
}

/// The two states answer every question alike.
fn assert_same_answers(one: &State, other: &State) {
    assert_eq!(stats(one), stats(other));
    assert_eq!(changes(one), changes(other));
    let StatsAnswer { revision, compacted, .. } = stats(one);
    for at in compacted.max(1)..=revision.max(1) {
        assert_eq!(one.read(&all(at)), other.read(&all(at)));
    }
    for view in one.read(&all(0)).unwrap().keys {
        let history = KeyHistory { key: view.key, limit: 1000 };
        assert_eq!(one.read(&history).unwrap().versions, other.read(&history).unwrap().versions);
    }
    let sessions = Sessions { after: 0, limit: 1000 };
    assert_eq!(one.read(&sessions), other.read(&sessions));
    let queues = Queues { prefix: Bytes::new(), after: Bytes::new(), limit: 1000 };
    assert_eq!(one.read(&queues), other.read(&queues));
    for queue in one.read(&queues).unwrap() {
        let queue = Queue { name: queue.name, limit: 1000 };
        assert_eq!(one.read(&queue), other.read(&queue));
    }
}

fn assert_same_outcome(one: &Outcome, other: &Outcome) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A snapshot that is written and read back at any point changes nothing: neither the state, nor what comes later, nor
    /// the hash. And two replicas that apply the same have the same hash.
    #[test]
    fn a_restored_state_goes_on_as_the_original(entries in generate::entries(1..40), cut in any::<prop::sample::Index>()) {
        let (before, after) = entries.split_at(cut.index(entries.len()));
        let mut original = State::default();
        let mut replica = State::default();
        for entry in before {
            assert_same_outcome(&original.apply(entry), &replica.apply(entry));
        }
        let written = records(&original);
        let mut restored = State::restore(written.clone()).unwrap();
        prop_assert_eq!(records(&restored), written);
        assert_same_answers(&original, &restored);
        for entry in after {
            let outcome = original.apply(entry);
            assert_same_outcome(&outcome, &restored.apply(entry));
            assert_same_outcome(&outcome, &replica.apply(entry));
            prop_assert_eq!(stats(&original), stats(&restored));
        }
        prop_assert_eq!(records(&original), records(&restored));
        prop_assert_eq!(stats(&original).hash, stats(&replica).hash);
        assert_same_answers(&original, &restored);
    }

    /// Every invariant holds after every entry, and everything agrees with a model that is too simple to be wrong.
    #[test]
    fn the_state_agrees_with_the_model(entries in generate::entries(1..40), ranges in prop::collection::vec(generate::range(), 3)) {
        let mut state = State::default();
        let mut model = Model::default();
        for entry in &entries {
            let outcome = state.apply(entry);
            prop_assert_eq!(outcome.replies.len(), entry.requests.len());
            prop_assert_eq!(state.verify_invariants(), Ok(()));
            model.follow(&state, &outcome);
        }
        model.compare_history(&state);
        for range in &ranges {
            model.compare_range(&state, range);
        }
    }

    /// A request that is refused leaves the state as an entry without it would.
    #[test]
    fn a_refused_request_changes_nothing(entries in generate::entries(1..25), command in generate::command()) {
        let mut state = State::default();
        for entry in &entries {
            state.apply(entry);
        }
        let stamp = entries.last().cloned().unwrap_or_default();
        let with = Entry { requests: vec![Request::from(command)], ..stamp };
        let without = Entry { requests: Vec::new(), ..with };
        let mut untouched = state.clone();
        untouched.apply(&without);
        let outcome = state.apply(&with);
        if outcome.replies[0].is_err() {
            prop_assert_eq!(records(&state), records(&untouched));
            prop_assert!(outcome.queues.is_empty() || !outcome.expired.is_empty());
        }
    }

    /// A clone is a state of its own.
    #[test]
    fn applying_leaves_clones_alone(entries in generate::entries(2..20)) {
        let (last, before) = entries.split_last().unwrap();
        let mut state = State::default();
        for entry in before {
            state.apply(entry);
        }
        let clone = state.clone();
        let written = records(&clone);
        state.apply(last);
        prop_assert_eq!(records(&clone), written);
        prop_assert_eq!(clone.verify_invariants(), Ok(()));
    }

    /// Records that were tampered with are refused, or make a state that keeps all invariants. Never a panic.
    #[test]
    fn damaged_records_are_refused(
        entries in generate::entries(1..20),
        others in generate::entries(1..20),
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        kind in 0..4_u8,
    ) {
        let build = |entries: &[Entry]| {
            let mut state = State::default();
            for entry in entries {
                state.apply(entry);
            }
            records(&state)
        };
        let (mut damaged, foreign) = (build(&entries), build(&others));
        let (at, from) = (at.index(damaged.len()), from.index(foreign.len()));
        match kind {
            0 => drop(damaged.remove(at)),
            1 => damaged[at] = foreign[from].clone(),
            2 => damaged.insert(at, foreign[from].clone()),
            _ => damaged.truncate(at),
        }
        if let Ok(mut state) = State::restore(damaged) {
            prop_assert_eq!(state.verify_invariants(), Ok(()));
            for entry in &others {
                state.apply(entry);
                prop_assert_eq!(state.verify_invariants(), Ok(()));
            }
        } else {
            prop_assert!(true);
        }
        if kind == 0 || kind == 3 {
            let mut damaged = build(&entries);
            damaged.truncate(at);
            prop_assert!(State::restore(damaged).is_err());
        }
    }
}
