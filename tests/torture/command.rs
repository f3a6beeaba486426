//! The command line of `scripts/torture`.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use ringfence_cluster::binary;
use ringfence_simulation::{
    report::{
        Totals, failure_story, jsonl,
        text::{duration, section},
    },
    schedule::Fault,
};
use ringfence_torture::{
    clean, control, disks,
    faults::Means,
    keep,
    net::{self, Net},
    plan,
    round::{self, Outcome, Plan},
};
use tokio::signal::unix::{SignalKind, signal};

/// The simulation's schedules have no more.
const SERVERS_MAX: u8 = 5;
const CLIENTS_MAX: u8 = 16;
/// What a round takes beside the time with faults, about.
const AROUND: Duration = Duration::from_secs(30);
/// A round with less time for faults isn't worth it.
const SECONDS_MIN: u64 = 15;
/// Ended by Ctrl-C or TERM.
const INTERRUPTED: u8 = 130;

/// Servers as processes, in networks and on disks of their own, and everything going wrong that can be made to: kills, pauses, partitions, lost packets, full
/// disks. Clients work meanwhile, and the simulation's checkers judge what they saw. Exits 0 if nothing is broken.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Arguments {
    /// For about so many minutes, round after round.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// For so many rounds, however long they take.
    #[arg(long, conflicts_with = "minutes")]
    rounds: Option<u64>,
    /// The first round's seed; each further one has the next. The faults and the work come from it, and not what happens then.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Always so many servers, 3 or 5; else as the seed says.
    #[arg(long, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: Option<u8>,
    /// Seconds with faults in a round.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=600))]
    seconds: u32,
    /// Leave out faults of these kinds, such as `failing-sync`; several with commas.
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
    without: Vec<&'static str>,
    /// Processes alone, on the loopback address, even where there could be networks and disks.
    #[arg(long)]
    loopback: bool,
    /// Report in lines of JSON: one object a round, and the totals in the last.
    #[arg(long)]
    json: bool,
    /// Keep history, time line and logs of each round there; else of those alone in which something is broken, in .ringfence/torture.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The name of this run, in those of its networks and of its directory.
    #[arg(long, hide = true)]
    name: Option<String>,
    /// Only take away what the run of this name has left.
    #[arg(long, value_name = "NAME", hide = true)]
    clean: Option<String>,
}

fn kind(name: &str) -> Result<&'static str, String> {
    let found = Fault::KINDS.iter().find(|(kind, _)| *kind == name);
    found.map(|(kind, _)| *kind).ok_or_else(|| format!("`{name}` is no fault"))
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = &arguments.clean {
        take_away(name);
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(&arguments)).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Where everything of a run is while it goes on.
fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("rf-{name}"))
}

fn take_away(name: &str) {
    let directory = directory(name);
    clean::clean(name, &directory);
    if directory.exists()
        && let Err(error) = fs::remove_dir_all(&directory)
    {
        eprintln!("{}: {error}", directory.display());
    }
}

/// What a run has made, until the value goes.
struct Made(String);

impl Drop for Made {
    fn drop(&mut self) {
        take_away(&self.0);
    }
}

/// All rounds, and what came of them.
struct Torture<'a> {
    arguments: &'a Arguments,
    name: String,
    net: Option<Net>,
    program: PathBuf,
    library: Option<PathBuf>,
    begun: Instant,
    totals: Totals,
    packets: u64,
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = binary::find("ringfenced", binary::VARIABLE)?;
    let name = arguments.name.clone().unwrap_or_else(|| format!("{:x}", std::process::id()));
    let missing = if arguments.loopback { Some("--loopback".to_owned()) } else { net::why_not() };
    let made = Made(name.clone());
    fs::create_dir_all(directory(&name)).context("make a directory for the run")?;
    let net = match &missing {
        None => Some(Net::make(&name, SERVERS_MAX, CLIENTS_MAX)?),
        Some(why) => {
            eprintln!(
                "Without networks and disks of their own ({why}): nothing is cut, lost, slow or full; the rest runs on the loopback address."
            );
            None
        }
    };
    let library = control::library();
    if library.is_none() {
        eprintln!(
            "Without the library that stands between a server and its disk and clock: syncs are never slow, and clocks never step."
        );
    }
    let begun = Instant::now();
    let mut torture = Torture { arguments, name, net, program, library, begun, totals: Totals::default(), packets: 0 };
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => true,
        _ = terminate.recv() => true,
        done = torture.rounds() => {
            done?;
            false
        }
    };
    drop(made);
    torture.totals.took(begun.elapsed());
    torture.report()?;
    Ok(match (interrupted, torture.totals.failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

impl Torture<'_> {
    async fn rounds(&mut self) -> Result<()> {
        for seed in self.arguments.seed.. {
            let Some(seconds) = self.seconds() else { break };
            self.round(seed, seconds).await?;
        }
        Ok(())
    }

    /// How long the next round has faults; `None` if it is enough.
    fn seconds(&self) -> Option<u32> {
        let usual = self.arguments.seconds;
        if let Some(rounds) = self.arguments.rounds {
            return (self.totals.seeds < rounds).then_some(usual);
        }
        let whole = Duration::from_secs(self.arguments.minutes * 60);
        let left = whole.saturating_sub(self.begun.elapsed() + AROUND).as_secs();
        match u32::try_from(left) {
            Ok(left) if left < usual => {
                (u64::from(left) >= SECONDS_MIN || self.totals.seeds == 0).then(|| left.max(SECONDS_MIN as u32))
            }
            _ => Some(usual),
        }
    }

    async fn round(&mut self, seed: u64, seconds: u32) -> Result<()> {
        let means = Means { root: self.net.is_some(), library: self.library.is_some() };
        let mut schedule = plan::schedule(seed, seconds, self.arguments.nodes, means);
        schedule.faults.retain(|timed| !self.arguments.without.contains(&timed.fault.kind()));
        let directory = directory(&self.name).join(format!("seed-{seed}"));
        let (program, library) = (self.program.clone(), self.library.clone());
        let plan = Plan { schedule, net: self.net.clone(), directory: directory.clone(), program, library };
        let head = format!(
            "round {}, seed {seed}, {}, {} servers, {} clients, {} faults",
            self.totals.seeds + 1,
            plan.schedule.profile.name(),
            plan.schedule.servers,
            plan.schedule.clients,
            plan.schedule.faults.len()
        );
        let progress = tokio::spawn(progress(head.clone()));
        let played = round::play(&plan).await;
        progress.abort();
        let outcome = played?;
        self.tell(&head, &outcome, &plan)?;
        disks::unmount_below(&directory);
        fs::remove_dir_all(&directory).with_context(|| format!("take away {}", directory.display()))?;
        Ok(())
    }

    fn tell(&mut self, head: &str, outcome: &Outcome, plan: &Plan) -> Result<()> {
        let (run, seed) = (&outcome.run, plan.schedule.seed);
        self.totals.add(run);
        self.packets += outcome.packets;
        let (operations, faults) = (run.figures.all_operations(), run.figures.all_faults());
        let verdict = if run.passed { "as it should" } else { "BROKEN" };
        let took = duration(run.real_seconds);
        say(&format!("{head}: {operations} operations, {faults} faults with an effect, {took}: {verdict}\n"));
        outcome.notes.iter().for_each(|note| say(&format!("  {note}\n")));
        if self.arguments.json {
            println!("{}", jsonl::line(run)?);
        }
        let to = match (&self.arguments.keep, run.passed) {
            (Some(directory), _) => Some(directory.join(format!("seed-{seed}"))),
            (None, false) => Some(Path::new(".ringfence/torture").join(&self.name).join(format!("seed-{seed}"))),
            (None, true) => None,
        };
        if let Some(to) = &to {
            keep::keep(outcome, plan, to)?;
        }
        if let Some(to) = to.filter(|_| !run.passed) {
            say(&failure_story(&outcome.history, seed, &outcome.verdict));
            say(&format!("\nThe same faults again:     scripts/torture --seed {seed} --rounds 1\n"));
            say(&format!("History, time line, logs:  {}\n", to.display()));
        }
        Ok(())
    }

    fn report(&self) -> Result<()> {
        if self.arguments.json {
            println!("{}", jsonl::last(&self.totals)?);
            return Ok(());
        }
        let (totals, figures) = (&self.totals, &self.totals.figures);
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let rows = [
            row("rounds", totals.seeds.to_string()),
            row("passed", (totals.seeds - totals.failed).to_string()),
            row("failed", totals.failed.to_string()),
            row("time", duration(totals.real_seconds)),
            row("operations", figures.all_operations().to_string()),
            row("faults with an effect", figures.all_faults().to_string()),
            row("packets dropped", self.packets.to_string()),
        ];
        print!("{}{}", section("Torture", &rows), totals.story_text());
        Ok(())
    }
}

/// Says where a round is, where somebody watches.
async fn progress(head: String) {
    let begun = Instant::now();
    while std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{head}: {} s", begun.elapsed().as_secs());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn say(text: &str) {
    let terminal = std::io::stderr().is_terminal();
    let clear = if terminal { "\r\x1b[2K" } else { "" };
    // Nobody may be there to read it.
    drop(std::io::stderr().write_all(format!("{clear}{text}").as_bytes()));
}
