//! What happened in one world, counted, and the sum over many worlds.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{seconds, words};
use crate::{
    checkers::Verdict,
    history::{Action, Ended, Entry, History, Told},
};

/// A set of at least so many seeds must hit every mark. Fewer may miss one by chance.
pub const SEEDS_FOR_ALL_MARKS: u64 = 200;

/// How operations of one kind ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endings {
    /// Done.
    pub ok: u64,
    /// Surely not done.
    pub refused: u64,
    /// Done or not done.
    pub unknown: u64,
}

impl Endings {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.ok + self.refused + self.unknown
    }
}

/// What happened, counted: in one world, or in several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Simulated time.
    pub simulated_seconds: f64,
    /// Operations by kind.
    pub operations: BTreeMap<String, Endings>,
    /// Refusals by the error's kind.
    pub refusals: BTreeMap<String, u64>,
    /// Faults that had an effect, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Faults that had none, such as a kill of a server that was down.
    pub faults_without_effect: u64,
    /// Leaderships: pairs of a term and who led in it.
    pub elections: u64,
    /// Snapshots that a server got from another and installed.
    pub snapshots_installed: u64,
    /// Changes of members that were acknowledged.
    pub membership_changes: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions expired.
    pub sessions_expired: u64,
    /// Locks granted, elections won.
    pub locks_granted: u64,
    /// Those among them that somebody else had owned before.
    pub locks_handed_over: u64,
    /// Watches opened.
    pub watches: u64,
    /// Changes that watchers were told.
    pub watch_events: u64,
    /// Entries that were applied, each once.
    pub log_entries: u64,
    /// Lives of servers that applied something.
    pub lives: u64,
    /// Marks that were hit, how often.
    pub marks: BTreeMap<String, u64>,
}

impl Figures {
    /// Counts what happened in a world. `marks`: those that were hit in it.
    #[must_use]
    pub fn of(history: &History, marks: &BTreeMap<&'static str, u64>) -> Self {
        let mut figures = Self {
            simulated_seconds: seconds(history.end),
            elections: count(history.leaders.iter()),
            snapshots_installed: count(history.applied.iter().filter(|applied| applied.installed)),
            watches: count(history.watches.iter()),
            log_entries: count(history.entries.values()),
            marks: marks.iter().map(|(mark, hits)| ((*mark).to_owned(), *hits)).collect(),
            ..Self::default()
        };
        let lives: std::collections::BTreeSet<_> = history.applied.iter().map(|by| (by.server, by.life)).collect();
        figures.lives = count(lives.iter());
        figures.add_calls(history);
        for fault in &history.faults {
            if fault.effective {
                *figures.faults.entry(fault.kind.to_owned()).or_default() += 1;
            } else {
                figures.faults_without_effect += 1;
            }
        }
        let told = history.watches.iter().flat_map(|watch| &watch.told);
        figures.watch_events =
            told.map(|(_, told)| if let Told::Events(all) = told { count(all.iter()) } else { 0 }).sum();
        figures.add_entries(history.entries.values());
        figures
    }

    fn add_calls(&mut self, history: &History) {
        for call in &history.calls {
            let endings = self.operations.entry(words::kind(&call.action)).or_default();
            match &call.ended {
                Ended::Ok(_) => endings.ok += 1,
                Ended::Refused(kind) => {
                    endings.refused += 1;
                    *self.refusals.entry(kind.clone()).or_default() += 1;
                }
                Ended::Unknown => endings.unknown += 1,
            }
            let members = matches!(&call.action, Action::Admin { what } if !what.starts_with("transfer"));
            if members && matches!(call.ended, Ended::Ok(_)) {
                self.membership_changes += 1;
            }
        }
    }

    fn add_entries<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        let mut last_owner: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in entries {
            self.sessions_opened += count(entry.opened.iter());
            self.sessions_expired += count(entry.expired.iter());
            for (lock, _, token) in &entry.granted {
                self.locks_granted += 1;
                let before = last_owner.insert(lock, *token);
                if before.is_some_and(|before| before != *token) {
                    self.locks_handed_over += 1;
                }
            }
        }
    }

    /// All operations.
    #[must_use]
    pub fn all_operations(&self) -> u64 {
        self.operations.values().map(|endings| endings.all()).sum()
    }

    /// All faults that had an effect.
    #[must_use]
    pub fn all_faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        self.simulated_seconds += other.simulated_seconds;
        for (kind, more) in &other.operations {
            let endings = self.operations.entry(kind.clone()).or_default();
            endings.ok += more.ok;
            endings.refused += more.refused;
            endings.unknown += more.unknown;
        }
        sum(&mut self.refusals, &other.refusals);
        sum(&mut self.faults, &other.faults);
        sum(&mut self.marks, &other.marks);
        self.faults_without_effect += other.faults_without_effect;
        self.elections += other.elections;
        self.snapshots_installed += other.snapshots_installed;
        self.membership_changes += other.membership_changes;
        self.sessions_opened += other.sessions_opened;
        self.sessions_expired += other.sessions_expired;
        self.locks_granted += other.locks_granted;
        self.locks_handed_over += other.locks_handed_over;
        self.watches += other.watches;
        self.watch_events += other.watch_events;
        self.log_entries += other.log_entries;
        self.lives += other.lives;
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> u64 {
    u64::try_from(all.count()).unwrap_or(u64::MAX)
}

fn sum(all: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, number) in more {
        *all.entry(name.clone()).or_default() += number;
    }
}

/// A promise that was broken, as it is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// Which checker says so.
    pub checker: String,
    /// The first moment at which it shows, in simulated seconds.
    pub at_seconds: f64,
    /// What is wrong.
    pub what: String,
}

/// A seed that was run, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Hash of its trace, in hexadecimal.
    pub trace: String,
    /// Nothing is broken.
    pub passed: bool,
    /// What is broken, earliest first.
    pub broken: Vec<Broken>,
    /// Checkers that gave up on a part, with the reason.
    pub unknown: Vec<(String, String)>,
    /// How long it took, in seconds of the machine that ran it.
    pub real_seconds: f64,
    /// What happened in it.
    pub figures: Figures,
}

impl Run {
    /// Of a world that came to its end.
    #[must_use]
    pub fn of(seed: u64, trace: u64, verdict: &Verdict, real: Duration, figures: Figures) -> Self {
        let broken = verdict.broken.iter().map(|broken| Broken {
            checker: broken.checker.to_owned(),
            at_seconds: seconds(broken.at),
            what: broken.what.clone(),
        });
        Self {
            seed,
            trace: format!("{trace:016x}"),
            passed: verdict.broken.is_empty(),
            broken: broken.collect(),
            unknown: verdict.unknown.iter().map(|(checker, why)| ((*checker).to_owned(), why.clone())).collect(),
            real_seconds: real.as_secs_f64(),
            figures,
        }
    }

    /// Of a world that came to no end: a panic, or a run that is stuck.
    #[must_use]
    pub fn failed(seed: u64, why: &str, real: Duration) -> Self {
        let broken = Broken { checker: "run".to_owned(), at_seconds: 0.0, what: why.to_owned() };
        Self { seed, broken: vec![broken], real_seconds: real.as_secs_f64(), ..Self::default() }
    }
}

/// A seed among many, as far as the totals know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// The seed.
    pub seed: u64,
    /// How long it took.
    pub real_seconds: f64,
    /// Simulated time.
    pub simulated_seconds: f64,
    /// Its operations.
    pub operations: u64,
    /// Its faults that had an effect.
    pub faults: u64,
    /// The first thing that is broken.
    pub broken: Option<Broken>,
}

/// The sum over many seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How many seeds.
    pub seeds: u64,
    /// How many of them with something broken.
    pub failed: u64,
    /// Seconds from the first seed's start to the last one's end; several may have run at once.
    pub real_seconds: f64,
    /// Checkers that gave up on a part, in how many seeds.
    pub unknown: BTreeMap<String, u64>,
    /// What happened in all of them together.
    pub figures: Figures,
    /// Each seed in brief, in the order in which they were added.
    pub runs: Vec<Brief>,
}

impl Totals {
    /// Adds a seed.
    pub fn add(&mut self, run: &Run) {
        self.seeds += 1;
        self.failed += u64::from(!run.passed);
        let checkers: std::collections::BTreeSet<&String> = run.unknown.iter().map(|(checker, _)| checker).collect();
        for checker in checkers {
            *self.unknown.entry(checker.clone()).or_default() += 1;
        }
        self.figures.add(&run.figures);
        self.runs.push(Brief {
            seed: run.seed,
            real_seconds: run.real_seconds,
            simulated_seconds: run.figures.simulated_seconds,
            operations: run.figures.all_operations(),
            faults: run.figures.all_faults(),
            broken: run.broken.first().cloned(),
        });
    }

    /// Says how long all of it took.
    pub fn took(&mut self, real: Duration) {
        self.real_seconds = real.as_secs_f64();
    }

    /// Seeds that failed, smallest first.
    #[must_use]
    pub fn failures(&self) -> Vec<&Brief> {
        let mut failures: Vec<_> = self.runs.iter().filter(|run| run.broken.is_some()).collect();
        failures.sort_by_key(|run| run.seed);
        failures
    }

    /// Those of all marks that no seed hit.
    #[must_use]
    pub fn never_hit<'a>(&self, all_marks: &[&'a str]) -> Vec<&'a str> {
        let hit = |mark: &str| self.figures.marks.get(mark).is_some_and(|hits| *hits > 0);
        all_marks.iter().copied().filter(|mark| !hit(mark)).collect()
    }

    /// Why the set as a whole failed, though perhaps each seed passed: enough seeds ran to hit every mark, and some were never hit.
    #[must_use]
    pub fn marks_missed(&self, all_marks: &[&str]) -> Option<String> {
        let missed = self.never_hit(all_marks);
        if missed.is_empty() || self.seeds < SEEDS_FOR_ALL_MARKS {
            return None;
        }
        let list: String = missed.iter().map(|mark| format!("\n  {mark}")).collect();
        Some(format!("{} seeds never reached:{list}", self.seeds))
    }
}
