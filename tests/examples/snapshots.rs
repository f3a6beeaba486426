//! How much longer writes wait while snapshots of many keys are written: see `scripts/snapshots`. A measurement, not a test: it judges nothing.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ringfence_cluster::times::{ms, within};
use ringfence_tests::snapshots::{CLIENTS, Findings, Size, VALUE_BYTES, run};
use tokio::signal::unix::{SignalKind, signal};

/// Everything of it goes below this, on whatever disk that is.
const HOME: &str = ".ringfence";
/// Half a minute each.
const TIMES_MAX: usize = 1000;
/// A server has all of them in memory.
const KEYS_MAX: usize = 10_000_000;
/// Ended by Ctrl-C or TERM.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let (json, size) = arguments(std::env::args().skip(1))?;

    std::fs::create_dir_all(HOME).with_context(|| format!("create {HOME}"))?;
    let directory = tempfile::Builder::new().prefix("snapshots-").tempdir_in(std::path::absolute(HOME)?)?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whichever comes first: the servers end with what is dropped here, and the directory goes.
    let findings = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => return Ok(ExitCode::from(INTERRUPTED)),
        findings = run(directory.path(), size, |how_far| eprintln!("{how_far}")) => findings?,
    };
    match json {
        true => println!("{}", object(&findings, size)),
        false => println!("{findings}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether lines of JSON are wanted, and how much is measured.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<(bool, Size)> {
    let (mut json, mut small, mut times, mut keys) = (false, false, None, None);
    while let Some(word) = words.next() {
        match (word.as_str(), word.parse()) {
            ("--json", _) => json = true,
            ("--small", _) => small = true,
            ("--keys", _) => {
                let number = words.next().and_then(|number| number.parse().ok());
                keys = Some(
                    number
                        .filter(|number| (1..=KEYS_MAX).contains(number))
                        .context(format!("--keys needs a number from 1 to {KEYS_MAX}"))?,
                );
            }
            (_, Ok(number @ 1..=TIMES_MAX)) => times = Some(number),
            _ => bail!(
                "{word} isn't understood; there are a number of times from 1 to {TIMES_MAX}, --keys N, --small, --json"
            ),
        }
    }
    let mut size = if small { Size::small() } else { Size::whole() };
    size.times = times.unwrap_or(size.times);
    size.keys = keys.unwrap_or(size.keys);
    Ok((json, size))
}

fn object(findings: &Findings, size: Size) -> serde_json::Value {
    let mut object = serde_json::json!({
        "system": "ringfence",
        "snapshots": findings.snapshots.len(),
        "snapshot_p50_s": within(&findings.snapshots, 500).as_secs_f64(),
        "snapshot_max_s": within(&findings.snapshots, 1000).as_secs_f64(),
        "keys": size.keys,
        "value_bytes": VALUE_BYTES,
        "clients": CLIENTS,
        "rate": size.rate,
        "times": findings.worst_during.len(),
        "windows": findings.worst_without.len(),
        "window_s": findings.window.as_secs_f64(),
        "worst_during_ms": ms(within(&findings.worst_during, 500)),
        "worst_without_ms": ms(within(&findings.worst_without, 500)),
        "longer_ms": findings.longer_ms(),
        "failed": findings.failed,
    });
    for (what, waits) in [("during", &findings.during), ("without", &findings.without)] {
        object[format!("{what}_count")] = waits.count().into();
        for (name, permille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1000)] {
            object[format!("{what}_{name}_ms")] = waits.ms(permille).into();
        }
    }
    object
}
