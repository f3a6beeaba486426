//! What the program does with its arguments.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use ringfence_probes::marks;
use ringfence_simulation::{
    bank::{self, Effort, Expected},
    determinism,
    report::{
        Totals, failure_text,
        html::{batch_page, seed_page},
        jsonl,
    },
    run::{Options, Outcome, run},
    scenarios,
    schedule::{Profile, Schedule, draw::SECONDS, shrink::Shrink},
    suite,
};

use crate::Arguments;

/// Candidates that shrinking runs at most.
const SHRINK_TRIES_MAX: u32 = 2000;
/// Where nobody watches a bar, progress is said this often.
const SAY_EVERY: Duration = Duration::from_secs(15);

/// Does what was asked for. Says how it ended.
pub fn work(arguments: &Arguments) -> ExitCode {
    let options = match options(arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let passed = match (arguments.check_determinism, arguments.shrink) {
        (Some(seeds), _) => check_determinism(arguments, seeds),
        (_, Some(seed)) => shrink(seed, arguments, &options),
        _ if arguments.bug_bank.is_some() => bug_bank(arguments),
        _ if arguments.scenario.is_some() => scenario(arguments),
        _ if arguments.seed.is_some() || options.schedule.is_some() => single(arguments, &options),
        _ => many(arguments, &options),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells a story from each seed, up to the first that goes wrong.
fn scenario(arguments: &Arguments) -> bool {
    let name = arguments.scenario.as_deref().unwrap_or_default();
    let Some(scenario) = scenarios::by_name(name) else {
        eprintln!("`{name}` is no scenario; --list names them");
        return false;
    };
    let first = arguments.seed.unwrap_or(arguments.from);
    for seed in first..first.saturating_add(arguments.seeds) {
        let begun = Instant::now();
        match scenario.run(seed, arguments.bug) {
            Ok(()) => println!("{name}, seed {seed}: as it should, in {:.1} s", begun.elapsed().as_secs_f64()),
            Err(why) => {
                println!("{name}, seed {seed}: {why}");
                return false;
            }
        }
    }
    true
}

/// Looks for each mistake. Each row is said as soon as it is known.
fn bug_bank(arguments: &Arguments) -> bool {
    let jobs = jobs(arguments);
    let quick = arguments.bug_bank.as_deref() == Some("quick");
    let mut effort = if quick { Effort::quick_half(arguments.from, jobs) } else { Effort::whole(arguments.from, jobs) };
    effort.starts = arguments.starts.unwrap_or(effort.starts).max(1);
    if arguments.seeds > 1 {
        effort.seeds_max = arguments.seeds;
    }
    if let Some(bug) = arguments.bug {
        effort.bugs = vec![bug];
    }
    println!("{}", bank::HEAD);
    let broken = |expected: &Expected, seed| bank::broken(expected, seed, arguments.seconds);
    let found = bank::run_bank(&effort, broken, |row| println!("{row}"));
    let count = found.rows.iter().filter(|row| row.found()).count();
    println!("{count} of {} found", found.rows.len());
    found.all_found()
}

/// Worlds at a time.
fn jobs(arguments: &Arguments) -> usize {
    arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

fn options(arguments: &Arguments) -> Result<Options, String> {
    let schedule = arguments.schedule.as_deref().map(read).transpose()?;
    Ok(Options {
        profile: arguments.profile,
        seconds: arguments.seconds,
        bug: arguments.bug,
        schedule,
        print: arguments.trace,
        trace_to: arguments.trace_to.clone(),
        detail: arguments.seed.is_some(),
    })
}

fn read(path: &Path) -> Result<Schedule, String> {
    let text = fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    text.parse().map_err(|why| format!("{}: {why}", path.display()))
}

/// The arguments on which a run depends beside its seed.
fn depends_on(arguments: &Arguments) -> Vec<String> {
    let mut words = Vec::new();
    if arguments.profile != Profile::Default {
        words.extend(["--profile".to_owned(), arguments.profile.name().to_owned()]);
    }
    if arguments.seconds != SECONDS {
        words.extend(["--seconds".to_owned(), arguments.seconds.to_string()]);
    }
    if let Some(bug) = arguments.bug {
        words.extend(["--bug".to_owned(), bug.name().to_owned()]);
    }
    words
}

/// Says how a seed failed, and how to see it again.
fn failed(outcome: &Outcome, arguments: &Arguments) -> String {
    let seed = outcome.schedule.seed;
    let mut text = failure_text(&outcome.history, seed, &outcome.verdict, &depends_on(arguments).join(" "));
    if let Some(path) = &arguments.schedule {
        text.push_str(&format!("(The faults were those of {}.)\n", path.display()));
    }
    text
}

fn single(arguments: &Arguments, options: &Options) -> bool {
    let seed = arguments.seed.or(options.schedule.as_ref().map(|schedule| schedule.seed)).unwrap_or_default();
    let outcome = run(seed, options);
    let told = outcome.figures();
    if arguments.json {
        print_line(jsonl::line(&told));
    } else {
        println!(
            "seed {seed}: trace {:016x}, {} lines, {:.3} simulated seconds, {} operations, {} faults",
            outcome.trace,
            outcome.lines,
            told.figures.simulated_seconds,
            told.figures.all_operations(),
            told.figures.all_faults(),
        );
    }
    let command = format!("scripts/simulate --seed {seed} {}", depends_on(arguments).join(" "));
    let page = || seed_page(&outcome.history, seed, &outcome.verdict, &told.figures, command.trim_end());
    let written = write_page(arguments, page);
    if outcome.first_broken().is_none() {
        return written;
    }
    if !arguments.json {
        print!("{}", failed(&outcome, arguments));
    }
    false
}

fn print_line(line: serde_json::Result<String>) {
    match line {
        Ok(line) => println!("{line}"),
        Err(why) => eprintln!("a line of JSON can't be written: {why}"),
    }
}

/// Writes the page, if one was asked for. False if it can't be written.
fn write_page(arguments: &Arguments, page: impl FnOnce() -> String) -> bool {
    let Some(path) = &arguments.html else { return true };
    match fs::write(path, page()) {
        Ok(()) => true,
        Err(why) => {
            eprintln!("{}: {why}", path.display());
            false
        }
    }
}

fn many(arguments: &Arguments, options: &Options) -> bool {
    let mut totals = Totals::default();
    let mut progress = Progress::new(arguments.seeds);
    suite::seeds(arguments.from, arguments.seeds, jobs(arguments), options, |_, outcome| {
        let told = outcome.figures();
        totals.add(&told);
        totals.took(progress.begun.elapsed());
        if arguments.json {
            print_line(jsonl::line(&told));
        } else if outcome.first_broken().is_some() {
            progress.say(&failed(&outcome, arguments));
        }
        progress.step(&totals);
        true
    });
    progress.bar.finish_and_clear();
    if arguments.json {
        print_line(jsonl::last(&totals));
    } else {
        println!("{}", totals.text(marks::ALL));
    }
    let written = write_page(arguments, || batch_page(&totals, marks::ALL, &depends_on(arguments).join(" ")));
    let missed = totals.marks_missed(marks::ALL);
    if let Some(missed) = &missed {
        eprintln!("{missed}");
    }
    totals.failed == 0 && missed.is_none() && written
}

/// How far many seeds are: a bar at a terminal, else a line from time to time.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
    said: Instant,
    seeds: u64,
}

impl Progress {
    fn new(seeds: u64) -> Self {
        let bar = ProgressBar::new(seeds);
        // The template is ours, and tried by every run.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {msg}, {elapsed}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), said: Instant::now(), seeds }
    }

    fn step(&mut self, totals: &Totals) {
        let real = self.begun.elapsed().as_secs_f64().max(0.001);
        let simulated = totals.figures.simulated_seconds;
        let told = format!(
            "{:.2} seeds/s, {simulated:.0} simulated s ({:.0}/s), {} faults, {} failed",
            totals.seeds as f64 / real,
            simulated / real,
            totals.figures.all_faults(),
            totals.failed,
        );
        self.bar.set_message(told.clone());
        self.bar.inc(1);
        if self.bar.is_hidden() && self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            eprintln!("{}/{} seeds, {told}", totals.seeds, self.seeds);
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }
}

fn shrink(seed: u64, arguments: &Arguments, options: &Options) -> bool {
    let first = run(seed, options);
    let Some(broken) = first.first_broken() else {
        println!("seed {seed} does not fail; there is nothing to shrink");
        return true;
    };
    let checker = broken.checker;
    println!("seed {seed} breaks `{checker}` with {} faults: {}", first.schedule.faults.len(), broken.what);
    let mut fails = |candidate: &Schedule| {
        let options = Options { schedule: Some(candidate.clone()), ..options.clone() };
        run(candidate.seed, &options).verdict.broken.iter().any(|broken| broken.checker == checker)
    };
    let mut told = |tried: u32, smaller: &Schedule| {
        let Schedule { faults, seconds, clients, servers, .. } = smaller;
        eprintln!("{tried} tried: {} faults, {seconds} s, {clients} clients, {servers} servers", faults.len());
    };
    let (smallest, tried) = Shrink::run(first.schedule.clone(), SHRINK_TRIES_MAX, &mut fails, &mut told);
    println!(
        "# Breaks `{checker}`. The smallest of {tried} that were tried, from seed {seed} with {} faults.",
        first.schedule.faults.len()
    );
    print!("{smallest}");
    let outcome = run(seed, &Options { schedule: Some(smallest), ..options.clone() });
    print!("{}", failure_text(&outcome.history, seed, &outcome.verdict, &depends_on(arguments).join(" ")));
    println!("The lines above, in a file: scripts/simulate --schedule FILE");
    false
}

fn check_determinism(arguments: &Arguments, seeds: u64) -> bool {
    let (jobs, words) = (jobs(arguments).max(1) as u64, depends_on(arguments));
    let (sender, receiver) = mpsc::channel();
    let mut same = true;
    thread::scope(|scope| {
        for job in 0..jobs {
            let (sender, words) = (sender.clone(), &words);
            scope.spawn(move || {
                let mine = (0..seeds).skip(usize::try_from(job).unwrap_or_default()).step_by(jobs as usize);
                for seed in mine.map(|place| arguments.from.wrapping_add(place)) {
                    let _ = sender.send((seed, determinism::compare(seed, words)));
                }
            });
        }
        drop(sender);
        for (seed, compared) in receiver {
            match compared {
                Ok(Ok(lines)) if lines > 0 => println!("seed {seed}: two processes took the same {lines} steps"),
                Ok(Ok(_)) => {
                    same = false;
                    println!("seed {seed}: no trace at all");
                }
                Ok(Err(difference)) => {
                    same = false;
                    let line = |line: Option<String>| line.unwrap_or_else(|| "(its end)".to_owned());
                    println!("seed {seed}: two processes differ from line {} on:", difference.line);
                    println!("  first:  {}\n  second: {}", line(difference.first), line(difference.second));
                }
                Err(why) => {
                    same = false;
                    println!("seed {seed}: {why}");
                }
            }
        }
    });
    same
}
