use std::time::Duration;

use super::{figures::*, sample, text::duration};

#[test]
fn a_world_is_counted() {
    let figures = sample::figures();
    assert_eq!(figures.simulated_seconds, 8.0);
    assert_eq!(figures.operations["open session"], Endings { ok: 2, refused: 0, unknown: 0 });
    assert_eq!(figures.operations["put"], Endings { ok: 0, refused: 0, unknown: 1 });
    assert_eq!(figures.operations["delete"], Endings { ok: 0, refused: 1, unknown: 0 });
    assert_eq!(figures.all_operations(), 6);
    assert_eq!(figures.refusals["unavailable"], 1);
    assert_eq!(figures.elections, 2);
    assert_eq!(figures.snapshots_installed, 1);
    assert_eq!((figures.sessions_opened, figures.sessions_expired), (2, 1));
    assert_eq!((figures.locks_granted, figures.locks_handed_over), (2, 1));
    assert_eq!((figures.watches, figures.watch_events), (1, 1));
    assert_eq!((figures.log_entries, figures.lives), (3, 3));
    assert_eq!(figures.marks["a leader fell"], 3);
}

#[test]
fn a_fault_without_effect_and_a_leader_who_hands_over_are_counted_apart() {
    let figures = sample::figures();
    assert_eq!(figures.faults["kill"], 1);
    assert_eq!(figures.all_faults(), 2);
    assert_eq!(figures.faults_without_effect, 1);
    assert_eq!(figures.membership_changes, 1);
}

#[test]
fn the_sum_of_two_worlds_is_twice_one() {
    let mut sum = sample::figures();
    sum.add(&sample::figures());
    assert_eq!(sum.simulated_seconds, 16.0);
    assert_eq!(sum.operations["put"].unknown, 2);
    assert_eq!(sum.faults["alone"], 2);
    assert_eq!(sum.marks["a leader fell"], 6);
    assert_eq!(sum.locks_handed_over, 2);
}

fn totals(seeds: u64) -> Totals {
    let mut totals = Totals::default();
    for seed in 0..seeds {
        let mut run = Run { seed, passed: seed > 0, ..sample::run() };
        run.broken.retain(|_| seed == 0);
        totals.add(&run);
    }
    totals.took(Duration::from_secs(4));
    totals
}

#[test]
fn marks_that_nobody_hit_fail_a_large_set_alone() {
    let marks = ["a leader fell", "a disk was full"];
    assert_eq!(totals(1).never_hit(&marks), ["a disk was full"]);
    assert_eq!(totals(SEEDS_FOR_ALL_MARKS - 1).marks_missed(&marks), None);
    assert_eq!(totals(SEEDS_FOR_ALL_MARKS).marks_missed(&marks[..1]), None);
    let missed = totals(SEEDS_FOR_ALL_MARKS).marks_missed(&marks).unwrap();
    assert_eq!(missed, "200 seeds never reached:\n  a disk was full");
}

#[test]
fn a_run_that_came_to_no_end_has_failed() {
    let mut totals = Totals::default();
    totals.add(&Run::failed(9, "a panic", Duration::from_secs(1)));
    assert_eq!((totals.seeds, totals.failed), (1, 1));
    assert_eq!(totals.failures()[0].seed, 9);
}

#[test]
fn the_report_stands_in_columns() {
    let text = totals(2).text(&["a leader fell", "a disk was full"]);
    for wanted in [
        "\nSimulation\n  seeds                            2\n  passed                           1\n",
        "  simulated seconds a second     4.0\n",
        "  seed 0: one owner: 1 and 2 own `l` <both>\n",
        "                   all  done  refused  unknown\n",
        "  put                2     0        0        2\n",
        "\nFaults that had an effect\n  alone            2\n  kill             2\n  without effect   2\n",
        "  locks handed over     2\n",
        "Checkers that gave up on a part, in how many seeds\n  linearizable   2\n",
        "\nMarks that were hit\n  a leader fell   6\n",
        "is a failure)\n  a disk was full\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn a_mark_that_was_asked_for_and_not_hit_is_not_told_as_hit() {
    let mut totals = totals(1);
    totals.figures.marks.insert("a disk was full".to_owned(), 0);
    let text = totals.text(&["a disk was full"]);
    assert!(text.contains("is a failure)\n  a disk was full\n") && !text.contains("a disk was full   0"), "{text}");
}

#[test]
fn long_times_are_told_in_larger_units() {
    assert_eq!([duration(1.25), duration(600.0), duration(9000.0)], ["1.2 s", "10.0 min", "2.5 h"]);
}

/// The manual's tables are complete.
#[test]
fn the_manual_has_every_profile_fault_and_bug() {
    use crate::schedule::{Fault, Profile};
    let manual = include_str!("../../docs/simulation.md");
    let profiles = Profile::all().map(|profile| profile.name());
    let faults = Fault::KINDS.iter().map(|(kind, _)| *kind);
    let bugs = ringfence_probes::Bug::ALL.iter().map(|bug| bug.name());
    let missing: Vec<_> =
        profiles.chain(faults).chain(bugs).filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/simulation.md doesn't name {missing:?}");
}
