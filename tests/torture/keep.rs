//! What is kept of a round: the history line by line, the faults, the servers' logs and settings, and a page with the time line.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};
use ringfence_simulation::{
    history::{History, Time},
    report::{failure_story, html::seed_page},
};

use crate::round::{Outcome, Plan};

/// Keeps a round below this directory.
///
/// # Errors
/// If something can't be written.
pub fn keep(outcome: &Outcome, plan: &Plan, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    let seed = plan.schedule.seed;
    write("faults.txt", &plan.schedule.to_string())?;
    write("failure.txt", &failure_story(&outcome.history, seed, &outcome.verdict))?;
    let command = format!("scripts/torture --seed {seed} --rounds 1");
    let figures = &outcome.run.figures;
    write("seed.html", &seed_page(&outcome.history, seed, &outcome.verdict, figures, &command))?;
    history(&outcome.history, &directory.join("history.txt"))?;
    for id in 1..=plan.schedule.servers {
        let node = plan.directory.join(format!("node{id}"));
        for name in ["log", "config.toml"] {
            let to = directory.join(format!("node{id}-{name}"));
            fs::copy(node.join(name), &to).with_context(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}

/// Everything in order of time, a line each.
fn history(history: &History, path: &Path) -> Result<()> {
    let mut lines: Vec<(Time, String)> = Vec::new();
    lines.extend(history.calls.iter().map(|call| (call.end, format!("{call:?}"))));
    lines.extend(history.beliefs.iter().map(|belief| (belief.at, format!("{belief:?}"))));
    lines.extend(history.renewals.iter().map(|renewed| (renewed.acknowledged, format!("{renewed:?}"))));
    lines.extend(history.observed.iter().map(|observed| (observed.at, format!("{observed:?}"))));
    lines.extend(history.applied.iter().map(|applied| (applied.at, format!("{applied:?}"))));
    lines.extend(history.leaders.iter().map(|led| (led.from, format!("{led:?}"))));
    lines.extend(history.faults.iter().map(|fault| (fault.at, format!("{fault:?}"))));
    lines.extend(history.conditions.iter().map(|changed| (changed.at, format!("{changed:?}"))));
    lines.extend(history.liveness.iter().map(|tried| (tried.from, format!("{tried:?}"))));
    for watch in &history.watches {
        let who = format!("client {}'s watch of {:?} from {}", watch.client, watch.prefix, watch.from);
        lines.extend(watch.told.iter().map(|(at, told)| (*at, format!("{who}: {told:?}"))));
    }
    let known = history.known.iter().copied();
    lines.extend(known.map(|(index, at)| (at, format!("known: {index}: {:?}", history.entries.get(&index)))));
    lines.sort();
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for (at, line) in lines {
        writeln!(file, "{:>14.6} {line}", ringfence_simulation::report::seconds(at))?;
    }
    file.flush().context("write the history")
}
