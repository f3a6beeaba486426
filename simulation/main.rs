//! Runs worlds: one seed, many seeds, a schedule from a file; shrinks what fails, and proves that a seed is one world.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use ringfence_probes::Bug;
use ringfence_simulation::{
    bank::EXPECTED,
    schedule::{Fault, Profile, Schedule, draw::SECONDS},
};

#[cfg(madsim)]
mod commands;

/// The real server and the real client in one deterministic world, with everything going wrong that can.
#[derive(Debug, Parser)]
#[command(
    name = "simulation",
    after_help = "Each seed is a world of its own. The same seed gives the same trace, whenever and wherever it runs."
)]
struct Arguments {
    /// Run so many seeds.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// So many at a time; as many as there are processors, unless said.
    #[arg(long, value_name = "JOBS")]
    jobs: Option<usize>,
    /// What the faults are drawn for: see --list.
    #[arg(long, value_name = "PROFILE", default_value = "default", value_parser = profile)]
    profile: Profile,
    /// Simulated seconds with faults.
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run this seed.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print everything that happens, with the simulated time before it, on standard error.
    #[arg(long)]
    trace: bool,
    /// Write everything that happens into a file.
    #[arg(long, value_name = "FILE", hide = true)]
    trace_to: Option<PathBuf>,
    /// Find the fewest faults with which this seed still fails.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from", "seed"])]
    shrink: Option<u64>,
    /// Run the faults of this file; with --shrink, shrink them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "from"])]
    schedule: Option<PathBuf>,
    /// Print the faults of this seed, as --schedule takes them.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from", "seed", "shrink"])]
    print_schedule: Option<u64>,
    /// Run so many seeds in two processes each, and compare every step.
    #[arg(long, value_name = "K", conflicts_with_all = ["seeds", "seed", "shrink", "print_schedule"])]
    check_determinism: Option<u64>,
    /// Tell a story with a known course, from --seeds seeds: see --list.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["shrink", "print_schedule", "check_determinism", "schedule"])]
    scenario: Option<String>,
    /// Make a mistake on purpose: see --list.
    #[arg(long, value_name = "NAME", value_parser = bug)]
    bug: Option<Bug>,
    /// Make each mistake, and count the seeds until it is found: whole, or quick for those that show soon. With --bug that one alone; --seeds bounds each search.
    #[arg(long, value_name = "HALF", num_args = 0..=1, default_missing_value = "whole", value_parser = ["whole", "quick"])]
    bug_bank: Option<String>,
    /// From so many first seeds; 5, or 1 with --bug-bank quick.
    #[arg(long, value_name = "STARTS", requires = "bug_bank")]
    starts: Option<u32>,
    /// Report in lines of JSON: one object a seed, and the totals in the last where there are many.
    #[arg(long)]
    json: bool,
    /// Write a page to look at: the time line of a --seed, or the charts of many.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// List profiles, faults, scenarios and bugs.
    #[arg(long)]
    list: bool,
}

fn profile(name: &str) -> Result<Profile, String> {
    name.parse()
}

fn bug(name: &str) -> Result<Bug, String> {
    let found = Bug::ALL.iter().find(|bug| bug.name() == name);
    found.copied().ok_or_else(|| format!("`{name}` is no bug; --list names them"))
}

fn list() {
    println!("Profiles:");
    Profile::all().for_each(|profile| println!("  {:10} {}", profile.name(), profile.about()));
    println!("Faults:");
    Fault::KINDS.iter().for_each(|(kind, family)| println!("  {:14} {}", kind, family.name()));
    #[cfg(madsim)]
    {
        println!("Scenarios:");
        let all = ringfence_simulation::scenarios::ALL;
        all.iter().for_each(|scenario| println!("  {:20} {}", scenario.name, scenario.about));
    }
    println!("Bugs:");
    EXPECTED.iter().for_each(|expected| println!("  {:28} {}", expected.bug.name(), expected.what));
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = arguments.print_schedule {
        print!("{}", Schedule::draw(seed, arguments.profile, arguments.seconds));
        return ExitCode::SUCCESS;
    }
    work(&arguments)
}

#[cfg(madsim)]
fn work(arguments: &Arguments) -> ExitCode {
    commands::work(arguments)
}

#[cfg(not(madsim))]
fn work(arguments: &Arguments) -> ExitCode {
    let seed = arguments.seed.unwrap_or(arguments.from);
    eprintln!("This program was built for the real world, and has nothing to simulate with.");
    eprintln!("Run `scripts/simulate --seed {seed}`: it builds the same sources with RUSTFLAGS=\"--cfg madsim\".");
    ExitCode::from(2)
}
