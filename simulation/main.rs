//! Runs the scenario with the seeds it is given, and prints the hash of each trace.

use std::process::ExitCode;

use clap::Parser;

/// The simulated cluster: three servers, a client on either side, and a cut between them.
#[derive(Debug, Parser)]
#[command(
    name = "simulation",
    after_help = "Each seed is a world of its own. The same seed gives the same line, whenever and wherever it runs."
)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Print everything that happens, with the simulated time before it, on standard error.
    #[arg(long)]
    trace: bool,
}

#[cfg(madsim)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut failed = false;
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        match ringfence_simulation::run(seed, arguments.trace) {
            Ok(ran) => println!("seed {seed}: {ran}"),
            Err(failure) => {
                failed = true;
                println!("seed {seed}: FAILED: {failure}");
                println!("run it again: scripts/simulate --seed {seed} --trace");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(not(madsim))]
fn main() -> ExitCode {
    let Arguments { seed, .. } = Arguments::parse();
    eprintln!("This program was built for the real world, and has nothing to simulate with.");
    eprintln!("Run `scripts/simulate --seed {seed}`: it builds the same sources with RUSTFLAGS=\"--cfg madsim\".");
    ExitCode::from(2)
}
