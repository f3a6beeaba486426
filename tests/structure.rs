//! The rules of the house that neither the compiler nor clippy knows: who may name whom, how long a file and a function
//! may get, what stands at the top level, which words don't stay.
//!
//! Each test names every place that breaks its rule, not only the first.

#[path = "structure/measure.rs"]
mod measure;
#[path = "structure/rooms.rs"]
mod rooms;
#[path = "structure/tree.rs"]
mod tree;

use tree::{Source, root, sources};

/// A file tells one story. Lines that are neither blank nor comment.
const FILE_LINES_MAX: usize = 450;
/// A function does one thing at one level. Counted in the same way, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 90;

/// Everything that may stand at the top level, apart from what git ignores.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "cluster",
    "deny.toml",
    "docs",
    "proto",
    "rustfmt.toml",
    "scripts",
    "simulation",
    "src",
    "tests",
];
/// What programs leave behind there; git ignores it.
const LEFT_BEHIND: &[&str] = &[".ringfence", "target"];

/// What must not stay in a source file, with what it would mean. Written in two halves, so that this file has none.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("todo", "!(", "a piece of work that stops the program"),
    ("unimplemented", "!(", "a piece of work that stops the program"),
    ("dbg", "!(", "output for whoever wrote it"),
    ("#[ign", "ore", "a test that never runs"),
];

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = measure::code_lines(&source.text);
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines of code", source.path))
    });
    none_of(long, &format!("A file has at most {FILE_LINES_MAX} lines of code; split it by what it tells."));
}

#[test]
fn no_function_is_too_long() {
    let all = sources();
    let long = all.iter().flat_map(|source| {
        let too_long =
            measure::functions(&source.text).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
        too_long.map(|function| format!("{}:{}: {} lines of code", source.path, function.begins, function.lines))
    });
    none_of(long, &format!("A function has at most {FUNCTION_LINES_MAX} lines of code."));
}

#[test]
fn nothing_forbidden_stays() {
    let all = sources();
    let found = all.iter().flat_map(|source| {
        measure::code(&source.text).flat_map(move |(number, line)| {
            let words = FORBIDDEN.iter().filter(move |(first, second, _)| line.contains(&format!("{first}{second}")));
            words.map(move |(first, second, why)| format!("{}:{number}: {first}{second}: {why}", source.path))
        })
    });
    none_of(found, "These words don't stay in the code.");
}

#[test]
fn the_top_level_is_fixed() {
    let unknown = tree::names_in(&root())
        .into_iter()
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()) && !LEFT_BEHIND.contains(&name.as_str()));
    none_of(unknown, "The top level is fixed: put this into one of its folders.");
}

#[test]
fn rooms_depend_only_on_what_they_may() {
    none_of(rooms::forbidden_dependencies(), "A crate depends on these rooms, or crates, which it must not know.");
}

#[test]
fn only_the_raft_room_names_openraft() {
    let named = named_outside("src/server/", &["openraft", "openraft_rt"], |path| path.starts_with("src/server/raft/"));
    none_of(named, "Within the server only src/server/raft names openraft.");
}

#[test]
fn one_file_names_sled() {
    let naming =
        |source: &&Source| measure::statements(&source.text).iter().any(|(_, line)| measure::names_crate(line, "sled"));
    let all = sources();
    let files: Vec<String> = all.iter().filter(naming).map(|source| source.path.clone()).collect();
    // The rules' own tests speak of it, too.
    let strangers = files
        .iter()
        .filter(|path| !path.starts_with("src/server/raft/") && !path.starts_with("tests/structure"))
        .cloned();
    none_of(strangers, "sled is known only to the log engine in src/server/raft.");
    // Crash tests of the engine may open the database behind its back.
    let engine: Vec<&String> = files.iter().filter(|path| !path.contains("test")).collect();
    assert!(engine.len() <= 1, "One file alone names sled; these do: {engine:?}");
}

#[test]
fn services_name_neither_raft_nor_each_other() {
    none_of(
        rooms::services_that_look_sideways(&sources()),
        "A service goes down through proposer, reader and watch hub.",
    );
}

#[test]
fn the_core_is_pure() {
    let impure = ["std::fs", "std::net", "std::thread", "std::time", "std::env", "std::process"];
    let all = sources();
    let found =
        all.iter().filter(|source| source.path.starts_with("src/core/") && !source.is_test()).flat_map(|source| {
            let lines =
                measure::code(&source.text).filter(move |(_, line)| impure.iter().any(|name| line.contains(name)));
            lines.map(move |(number, line)| format!("{}:{number}: {}", source.path, line.trim()))
        });
    none_of(found, "The core knows no clock, file, thread or network.");
}

/// Lines under `room` that name one of these crates, in files that may not.
fn named_outside(room: &str, crates: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut named = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with(room) && !may(&source.path)) {
        for (number, line) in measure::statements(&source.text) {
            if crates.iter().any(|name| measure::names_crate(&line, name)) {
                named.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    named
}

#[track_caller]
fn none_of(found: impl IntoIterator<Item = String>, rule: &str) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}
