//! The command line of `scripts/power-cuts`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use ringfence_power::trial::{self, Plan};

/// Cuts in one life.
const CUTS_PER_LIFE: usize = 40;

/// Works on a real log and real snapshot files, builds the images that power cuts at many moments could leave, opens each, and checks that nothing
/// acknowledged is missing. Exits 0 if nothing ever is.
#[derive(Parser)]
#[command(name = "power-cuts")]
struct Arguments {
    /// At least so many images.
    #[arg(long, default_value_t = 1000)]
    images: usize,
    /// The first seed; each life has one of its own, counted on from here.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this cut of the first seed's life, as a failure names it.
    #[arg(long)]
    cut: Option<usize>,
    /// Break a rule of the disk, or several; `flush-alone` breaks all six of the log's. A loss is what is wanted then.
    #[arg(long = "break", value_name = "RULE")]
    broken: Vec<String>,
    /// Names the rules that can be broken.
    #[arg(long)]
    list: bool,
    /// Tell at most so many losses.
    #[arg(long, default_value_t = 5)]
    show: usize,
}

pub(crate) fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "broken-rules")]
fn break_rules(names: &[String]) -> Result<()> {
    use ringfence_server::raft::engine::rules::{Rule, break_only};
    let mut broken = Vec::new();
    for name in names {
        match Rule::ALL.iter().find(|rule| rule.name() == name) {
            Some(rule) => broken.push(*rule),
            None if name == "flush-alone" => broken.extend(&Rule::ALL[..7]),
            None => anyhow::bail!("there is no rule {name}; --list names them"),
        }
    }
    break_only(&broken);
    Ok(())
}

#[cfg(not(feature = "broken-rules"))]
fn break_rules(names: &[String]) -> Result<()> {
    anyhow::ensure!(names.is_empty(), "rules can be broken only in what is built with the feature broken-rules");
    Ok(())
}

fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        for rule in ringfence_server::raft::engine::rules::Rule::ALL {
            println!("{}", rule.name());
        }
        println!("flush-alone");
        return Ok(true);
    }
    break_rules(&arguments.broken)?;
    let (mut images, mut losses, mut told) = (0, 0, 0);
    for seed in arguments.seed.. {
        let plan = Plan::new(seed, CUTS_PER_LIFE, arguments.cut);
        let outcome = if arguments.broken.is_empty() { trial::run(plan) } else { trial::run_broken(plan) }?;
        images += outcome.images;
        losses += outcome.losses.len();
        let rules: String = arguments.broken.iter().map(|rule| format!(" --break {rule}")).collect();
        for loss in outcome.losses.iter().take(arguments.show - told) {
            told += 1;
            println!("{loss}{rules}");
        }
        if images >= arguments.images || arguments.cut.is_some() {
            println!("{images} images of {} lives: {losses} lost something", seed - arguments.seed + 1);
            return Ok(losses == 0);
        }
    }
    Ok(losses == 0)
}
