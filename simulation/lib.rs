//! The real server and the real client in one deterministic world.
//!
//! Here the cluster runs on a simulated network, a simulated disk and a simulated clock, in one thread: the sources are those of
//! the programs, compiled with `--cfg madsim`. Everything that can vary comes from a seed, so that what happened once
//! happens again: the same seed gives the same trace, in another process too, and a failure is found by its seed alone.
//!
//! - [`history`]: what happened, as the checkers read it.
//! - [`checkers`]: what is promised, one promise a file.
//! - [`bank`]: mistakes that the checkers must find.
//! - [`schedule`]: the faults of a run, made up front from the seed.
//! - [`report`]: what a run tells whoever started it.
//! - [`world`]: three servers with their disks, clients, and links that can be cut and healed.
//! - [`scenarios`]: stories with a known course.
//! - [`workload`]: what the clients do, each call written down.
//! - [`place`]: what the workload asks of the world in which it works, simulated or of real processes.
//! - `run`: one seed, one world: the cluster, its clients, the faults, and the end at which everything has to work.
//! - `suite`: many seeds, several at a time; `determinism`: each in two processes, compared step by step.
//! - [`trace`]: everything that anybody said, with the moment by the simulated clock, and its hash.
//!
//! Without `--cfg madsim` there is no world here; the program `simulation` says how to run it then. Histories, checkers, schedules, reports and the
//! workload are there in both: `tests/torture` uses them with real processes.

#[cfg(all(test, madsim))]
mod alone;
pub mod bank;
pub mod checkers;
pub mod history;
pub mod place;
pub mod report;
pub mod schedule;
pub mod workload;

#[cfg(madsim)]
pub mod scenarios;
#[cfg(madsim)]
pub mod trace;
#[cfg(madsim)]
pub mod world;

#[cfg(madsim)]
pub mod determinism;
#[cfg(madsim)]
pub mod run;
#[cfg(madsim)]
pub mod suite;
