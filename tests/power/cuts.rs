//! The disk as it is loses nothing; with a rule broken it does, which shows that the test can find it.
#![cfg(not(madsim))]

use ringfence_power::trial::{self, Plan};

/// Cuts in one life.
const CUTS: usize = 40;

fn plan(seed: u64) -> Plan {
    Plan { seed, load: trial::load(seed), cuts: CUTS, only: None }
}

#[cfg(not(feature = "broken-rules"))]
#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let mut images = 0;
    for seed in 1..=3 {
        let outcome = trial::run(plan(seed)).unwrap();
        let losses: Vec<String> = outcome.losses.iter().map(ToString::to_string).collect();
        assert!(losses.is_empty(), "{}", losses.join("\n"));
        images += outcome.images;
    }
    assert!(images > 150, "only {images} images were tried");
}

/// Breaks a rule, or several, and looks for a loss in so many lives at most.
#[cfg(feature = "broken-rules")]
fn found(broken: &[ringfence_server::raft::engine::rules::Rule], seeds: impl Iterator<Item = u64>) -> bool {
    ringfence_server::raft::engine::rules::break_only(broken);
    let found = seeds.into_iter().any(|seed| !trial::run_broken(plan(seed)).unwrap().losses.is_empty());
    ringfence_server::raft::engine::rules::break_only(&[]);
    found
}

/// One test, since what is broken is broken in the whole process.
#[cfg(feature = "broken-rules")]
#[test]
fn each_broken_rule_is_found() {
    use ringfence_server::raft::engine::rules::Rule;
    let mut missed = Vec::new();
    if !found(&Rule::ALL[..7], 1..=3) {
        missed.push("flush-alone");
    }
    for rule in Rule::ALL {
        if !found(&[rule], 1..=12) {
            missed.push(rule.name());
        }
    }
    assert!(missed.is_empty(), "broken, and not found: {missed:?}");
}
