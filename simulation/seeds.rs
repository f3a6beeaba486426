//! The scenario with several seeds, each in two processes: what is promised holds, and the same seed gives the same trace.

use std::process::{Command, Output};

/// How many seeds.
#[cfg(madsim)]
const SEEDS: u64 = 5;

fn simulation(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().expect("the program runs")
}

#[cfg(madsim)]
#[test]
fn the_same_seed_gives_the_same_trace_in_another_process() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 1..=SEEDS {
        let seed = seed.to_string();
        let run = || {
            let output = simulation(&["--seed", &seed]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
            text
        };
        let first = run();
        assert_eq!(first, run(), "two processes with seed {seed} took different steps");
        traces.insert(first);
    }
    assert_eq!(traces.len() as u64, SEEDS, "another seed is another world");
}

#[cfg(not(madsim))]
#[test]
fn without_the_simulated_world_it_says_how_to_run_it() {
    let output = simulation(&["--seed", "7"]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("scripts/simulate --seed 7"), "{words}");
}
