//! Runs the scripts under `testscripts/`: commands, one a line, and below them what came of it.
//!
//! After a change that is meant to change outputs, run `UPDATE_GOLDENFILES=1 cargo test -p ringfence-core --test scripts`
//! and read every line that differs before it is committed. The scripts' commands are listed in `testscripts/README.md`.

mod input;
mod output;
mod records;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use goldenscript::Context;
use ringfence_core::query::{Changes, ClaimByKey, KeyHistory, Owner, Queue, Queues, Range, Session, Sessions, Stats};
use ringfence_core::{Entry, Request, State};

use crate::input::{Input, Question};

/// The leader's wall clock is this much ahead of the state's clock, so that the two can't be mistaken.
const WALL_AHEAD_MS: u64 = 1_000_000;

/// One script's state, and how its commands reach it.
#[derive(Default)]
struct Runner {
    state: State,
    clock_ms: u64,
    /// Requests of an entry that is gathered by `begin`.
    gathered: Option<Vec<Request>>,
    show_changes: bool,
}

impl Runner {
    fn apply(&mut self, requests: Vec<Request>) -> Result<String, Box<dyn Error>> {
        let entry = Entry { clock_ms: self.clock_ms, wall_ms: self.clock_ms + WALL_AHEAD_MS, requests };
        let outcome = self.state.apply(&entry);
        self.state.verify_invariants()?;
        Ok(output::outcome(&entry, &outcome, self.show_changes))
    }

    fn requests(&mut self, requests: Vec<Request>) -> Result<String, Box<dyn Error>> {
        match &mut self.gathered {
            Some(gathered) => {
                gathered.extend(requests);
                Ok(String::new())
            }
            None => self.apply(requests),
        }
    }

    fn ask(&self, question: &Question) -> String {
        let state = &self.state;
        let answer = match question {
            Question::Range(query) => state.read::<Range>(query).map(|answer| output::range(query, &answer)),
            Question::History(query) => state.read::<KeyHistory>(query).map(|answer| output::history(&answer)),
            Question::Session(query) => state.read::<Session>(query).map(|answer| output::sessions(&[answer])),
            Question::Sessions(query) => state.read::<Sessions>(query).map(|answer| output::sessions(&answer)),
            Question::Queue(query) => state.read::<Queue>(query).map(|answer| output::queue(&answer)),
            Question::Queues(query) => state.read::<Queues>(query).map(|answer| output::queues(&answer)),
            Question::Owner(query) => state.read::<Owner>(query).map(|answer| output::owner(&answer)),
            Question::Claim(query) => state.read::<ClaimByKey>(query).map(|answer| output::claim_by_key(&answer)),
            Question::Changes(query) => state.read::<Changes>(query).map(|answer| output::changes(&answer)),
            Question::Stats(query) => state.read::<Stats>(query).map(|answer| output::stats(&answer)),
        };
        answer.unwrap_or_else(|refusal| output::refused(&refusal))
    }

    /// Writes the state out, reads it back, and goes on with what was read.
    fn snapshot(&mut self) -> Result<String, Box<dyn Error>> {
        let records: Vec<_> = self.state.records().collect();
        let restored = State::restore(records.clone())?;
        if !restored.records().eq(records.iter().cloned()) {
            return Err("the restored state gives other records".into());
        }
        self.state = restored;
        Ok(records::records(&records))
    }
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &Context) -> Result<String, Box<dyn Error>> {
        match input::parse(command)? {
            Input::Requests(requests) => self.requests(requests),
            Input::Ask(question) => Ok(self.ask(&question)),
            Input::Clock(clock_ms) => {
                self.clock_ms = clock_ms;
                Ok(String::new())
            }
            Input::Tick(clock_ms) => {
                self.clock_ms = clock_ms;
                self.apply(Vec::new())
            }
            Input::Begin => {
                self.gathered = Some(Vec::new());
                Ok(String::new())
            }
            Input::Apply => {
                let requests = self.gathered.take().ok_or("nothing was begun")?;
                self.apply(requests)
            }
            Input::ShowChanges => {
                self.show_changes = true;
                Ok(String::new())
            }
            Input::Snapshot => self.snapshot(),
        }
    }
}

/// Runs one script, and says what is wrong with it.
fn run(path: &Path) -> Result<(), String> {
    let expected = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let actual = goldenscript::generate(&mut Runner::default(), &expected).map_err(|error| error.to_string())?;
    if actual == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        return std::fs::write(path, actual).map_err(|error| error.to_string());
    }
    let mut lines = expected.lines().zip(actual.lines()).enumerate();
    let mut wrong = String::from("what comes out differs");
    if let Some((at, (expected, actual))) = lines.find(|(_, (expected, actual))| expected != actual) {
        write!(wrong, " from line {}\n  expected: {expected}\n  actual:   {actual}", at + 1).unwrap();
    }
    Err(wrong)
}

/// All scripts in and below a folder.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_none() {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_script_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    let mut wrong = Vec::new();
    for path in scripts(&folder) {
        if let Err(why) = run(&path) {
            wrong.push(format!("{}: {why}", path.strip_prefix(&folder).unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
