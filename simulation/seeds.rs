//! The program as a person runs it: seeds that pass, the same trace in another process, kept schedules, and what it says where it can't
//! simulate.

use std::process::{Command, Output};

fn simulation(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().expect("the program runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_schedule_is_printed_as_it_is_read() {
    let printed = simulation(&["--print-schedule", "7", "--profile", "five"]);
    let schedule: ringfence_simulation::schedule::Schedule = out(&printed).parse().expect("a schedule");
    assert_eq!((schedule.seed, schedule.servers), (7, 5));
    assert_eq!(schedule.to_string(), out(&printed));
}

#[test]
fn everything_that_can_be_chosen_is_listed() {
    let list = out(&simulation(&["--list"]));
    assert!(["drift", "lost-disk", "vote-before-sync"].iter().all(|name| list.contains(name)), "{list}");
}

#[cfg(madsim)]
mod simulated {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace_in_another_process() {
        let output = simulation(&["--check-determinism", "3", "--seconds", "20"]);
        assert!(output.status.success(), "{}", out(&output));
        assert_eq!(out(&output).lines().filter(|line| line.contains("took the same")).count(), 3, "{}", out(&output));
    }

    #[test]
    fn seeds_pass_with_and_without_faults() {
        for profile in ["calm", "default"] {
            let output = simulation(&["--seeds", "4", "--seconds", "20", "--profile", profile]);
            assert!(output.status.success(), "{profile}: {}", out(&output));
        }
    }

    /// Each was a failure once.
    #[test]
    fn kept_schedules_pass() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");
        let kept = std::fs::read_dir(directory).expect("the directory of kept schedules");
        let paths = kept.map(|file| file.expect("a file").path());
        for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "schedule")) {
            let output = simulation(&["--schedule", path.to_str().expect("a plain name")]);
            assert!(output.status.success(), "{}: {}", path.display(), out(&output));
        }
    }
}

#[cfg(not(madsim))]
#[test]
fn without_the_simulated_world_it_says_how_to_run_it() {
    let output = simulation(&["--seed", "7"]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("scripts/simulate --seed 7"), "{words}");
}
