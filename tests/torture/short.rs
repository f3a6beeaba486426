//! The program for a moment, as a person would run it: a round passes with faults that had an effect, and leaves nothing behind.
#![cfg(not(madsim))]

use std::process::{Command, Output};

fn torture(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torture")).args(words).output().expect("the program runs")
}

fn ringfenced_is_there() -> bool {
    ringfence_cluster::binary::find("ringfenced", ringfence_cluster::binary::VARIABLE).is_ok()
}

#[test]
fn a_round_on_loopback_passes_and_says_what_it_did() {
    if !ringfenced_is_there() {
        return;
    }
    let ran =
        torture(&["--rounds", "1", "--seconds", "8", "--seed", "5", "--loopback", "--name", "test-short", "--json"]);
    let (text, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{text}\n{said}");
    assert!(text.contains("\"passed\":true") && text.contains("\"totals\""), "{text}\n{said}");
    assert!(!std::env::temp_dir().join("rf-test-short").exists(), "something is left behind");
}

#[test]
fn an_odd_number_of_servers_is_refused() {
    assert_eq!(torture(&["--nodes", "2"]).status.code(), Some(2));
}
