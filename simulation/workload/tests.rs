//! A world without faults: all kinds of work are done, and hardly any of it fails.

use std::{collections::BTreeMap, time::Duration};

use madsim::{Config, runtime::Runtime};
use rand::{SeedableRng, rngs::SmallRng};

use super::*;
use crate::{
    alone::alone,
    history::{History, Recorder, Told},
    world::{Plan, World},
};

/// A world with this seed and these weights, without faults.
fn quiet(seed: u64, weights: &Weights, seconds: u64) -> History {
    let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
    runtime.set_time_limit(Duration::from_secs(600));
    runtime.block_on(async {
        let recorder = Recorder::simulated();
        let world = World::start(&Plan { seed, snapshot_entries: 200, ..Plan::default() }, recorder.clone());
        let stop = Stop::new();
        let mut workload = start(&world, weights, seed, stop.clone());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        workload.finish().await;
        liveness(&world, Duration::from_secs(20)).await;
        final_read(&mut workload).await.expect("the keyspace can be read");
        recorder.finish()
    })
}

fn everything() -> Weights {
    Weights {
        calls_per_second: 60.0,
        lockers: 8,
        locks: vec![Sharing::Exclusive, Sharing::Readers(0.6), Sharing::Permits(2)],
        hold_ms_max: 800.0,
        candidates: 4,
        elections: 1,
        observers: 1,
        mortals: 3,
        writers: 6,
        readers: 4,
        keys: 6,
        watchers: 6,
        describers: 2,
        compactors: 1,
        numbered: 0.5,
        cancelled: 0.2,
        abandoned: 0.2,
        ttl_ms_max: 4000.0,
    }
}

#[test]
fn without_faults_all_kinds_of_work_are_done() {
    let history = quiet(1, &everything(), 60);
    let figures = figures(&history);
    for (kind, figure) in &figures {
        println!("{kind:20} {figure:?}");
    }
    let mut reasons: BTreeMap<(String, String), u64> = BTreeMap::new();
    for call in &history.calls {
        if let crate::history::Ended::Refused(reason) = &call.ended {
            *reasons.entry((figures::kind(&call.action).to_owned(), reason.clone())).or_default() += 1;
        }
    }
    println!("{reasons:#?}");
    let done = |kind: &str| figures.get(kind).map_or(0, |figure| figure.done);
    for kind in [
        "acquire",
        "try to acquire",
        "release",
        "belief",
        "fenced put",
        "register",
        "proclaim",
        "put",
        "put, numbered",
        "swap",
        "put all",
        "delete",
        "get",
        "get, stale",
        "list",
        "list, stale",
        "open session",
        "close session",
        "describe",
        "compact",
        "watch: snapshot",
        "watch: event",
        "watch: progress",
    ] {
        assert!(done(kind) > 0, "no {kind} was done");
    }
    assert!(history.calls.len() > 1_500, "{} calls in a minute", history.calls.len());
    for kind in ["put", "put, numbered", "swap", "get", "list", "describe"] {
        let figure = figures[kind];
        assert!(figure.refused + figure.unknown <= figure.done / 10, "{kind}: {figure:?}");
    }
    let late: Vec<_> = history.liveness.iter().filter(|trial| trial.done.is_none()).collect();
    assert!(late.is_empty() && !history.liveness.is_empty(), "{late:#?}");
    assert!(history.watches.iter().any(|watch| watch.to_the_end), "no watch stayed to the end");
    let failures = history.watches.iter().flat_map(|watch| &watch.told).filter_map(|(_, told)| match told {
        Told::Failed(error) => Some(error.as_str()),
        _ => None,
    });
    // Some are given hardly any time to begin.
    let failures: Vec<&str> = failures.filter(|error| *error != "unavailable").collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(!history.last.is_empty());
}

#[test]
fn worlds_with_drawn_weights_come_to_their_ends() {
    for seed in 1..=6 {
        let weights = Weights::draw(&mut SmallRng::seed_from_u64(seed));
        let history = quiet(seed, &weights, 15);
        println!("seed {seed}: {} calls, {weights:?}", history.calls.len());
        assert!(history.calls.len() > 50, "{} calls with {weights:?}", history.calls.len());
        let late: Vec<_> = history.liveness.iter().filter(|trial| trial.done.is_none()).collect();
        assert!(late.is_empty(), "{late:#?}");
    }
}

#[test]
fn the_same_seed_makes_the_same_history() {
    if !alone("workload::tests::the_same_seed_makes_the_same_history") {
        return;
    }
    // Each on a thread of its own: the order of std's hash maps is seeded once for each thread.
    let world = || std::thread::spawn(|| quiet(9, &everything(), 10)).join().expect("a world without a panic");
    let (one, other) = (world(), world());
    let different = one.calls.iter().zip(&other.calls).find(|(one, other)| one != other);
    assert_eq!(different, None);
    assert_eq!(one.calls.len(), other.calls.len());
    assert_eq!((one.beliefs, one.watches, one.last), (other.beliefs, other.watches, other.last));
}
