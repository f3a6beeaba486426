//! What the program does without a server: restores a backup, checks a data directory.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::ArgMatches;
use ringfence_server::{
    config::offline::{self, load_restore},
    raft::{
        Member,
        check::{self, Report},
        restore::{self, Founding, Restored},
    },
};
use serde_json::{Value, json};

use crate::program::{CANNOT_START, say, wrong_configuration};

/// `ringfenced restore`.
pub fn restore(matches: &ArgMatches) -> ExitCode {
    let settings = match load_restore(matches, |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return wrong_configuration(&error),
    };
    let (Some(file), Some(directory)) = (matches.get_one::<PathBuf>("file"), settings.data_dir()) else {
        return failed("no file, or no directory");
    };
    let founding = Founding {
        cluster: settings.cluster_id(),
        cluster_name: settings.cluster.clone(),
        founder: Member {
            id: settings.node_id,
            client_address: settings.client_address.clone(),
            peer_address: settings.peer_address.clone(),
            voter: true,
        },
        revision_jump: matches.get_one("revision-jump").copied().unwrap_or_default(),
    };
    match restore::restore(file, directory, &founding) {
        Ok(restored) if matches.get_flag("json") => say(&restored_object(&founding, &restored, directory).to_string()),
        Ok(restored) => say(&restored_lines(&founding, &restored, directory)),
        Err(error) => return failed(&error.to_string()),
    }
    ExitCode::SUCCESS
}

fn restored_object(founding: &Founding, restored: &Restored, directory: &Path) -> Value {
    json!({
        "data_dir": directory.display().to_string(),
        "cluster": founding.cluster_name,
        "cluster_id": format!("{:016x}", founding.cluster),
        "node_id": founding.founder.id,
        "revision": restored.revision,
        "revision_jump": founding.revision_jump,
        "keys": restored.keys,
        "sessions": restored.sessions,
        "backup_cluster": restored.backup.cluster_name,
        "backup_cluster_id": format!("{:016x}", restored.backup.cluster),
        "backup_revision": restored.backup.revision,
        "backup_taken_wall_ms": restored.backup.taken_wall_ms,
    })
}

fn restored_lines(founding: &Founding, restored: &Restored, directory: &Path) -> String {
    let taken = wall_time(restored.backup.taken_wall_ms);
    format!(
        "{} is the data directory of node {} of the new cluster {:?} ({:016x})\n\
         from cluster {:?}, revision {}, taken {}\n\
         revision {}, {} above the backup's: every token from now on is greater than that; {} keys, {} sessions\n\
         next: start it with these settings and no other founder; start the others with join = true and empty directories, \
         and add them with `ringfence cluster add` and `promote`",
        directory.display(),
        founding.founder.id,
        founding.cluster_name,
        founding.cluster,
        restored.backup.cluster_name,
        restored.backup.revision,
        taken,
        restored.revision,
        founding.revision_jump,
        restored.keys,
        restored.sessions,
    )
}

/// The wall clock for people.
fn wall_time(ms: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(ms));
    match time {
        // Later than the year 9999 the formatter gives up.
        Some(time) if ms < 253_402_300_800_000 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{ms}ms"),
    }
}

/// `ringfenced check`.
pub fn check(matches: &ArgMatches) -> ExitCode {
    let Some(directory) = matches.get_one::<PathBuf>("directory") else { return failed("no directory") };
    match matches.get_one::<PathBuf>(offline::COPIES) {
        Some(copies) => check_here(directory, copies, matches.get_flag("json")),
        None => check_apart(directory),
    }
}

/// Checks in a process of its own: sled panics at some kinds of damage, and that must be told like any other.
fn check_apart(directory: &Path) -> ExitCode {
    let copies = match tempfile::Builder::new().prefix("ringfenced-check-").tempdir() {
        Ok(copies) => copies,
        Err(error) => return failed(&format!("no temporary directory for the copy of the log: {error}")),
    };
    let ended = std::env::current_exe().and_then(|program| {
        let arguments = std::env::args_os().skip(1);
        let copies = [OsString::from(format!("--{}", offline::COPIES)), copies.path().into()];
        Command::new(program).args(arguments).args(copies).status()
    });
    match ended.map(|status| status.code()) {
        Ok(Some(0)) => ExitCode::SUCCESS,
        Ok(Some(code)) if code == i32::from(CANNOT_START) => ExitCode::from(CANNOT_START),
        Ok(_) => failed(&format!(
            "{}: it can't be opened: the database's own checks fail\n  next: {}",
            directory.join("log").join("db").display(),
            check::REPLACE
        )),
        Err(error) => failed(&format!("the check can't be started: {error}")),
    }
}

fn check_here(directory: &Path, copies: &Path, json: bool) -> ExitCode {
    let report = match check::check(directory, copies) {
        Ok(report) => report,
        Err(error) => return failed(&error.to_string()),
    };
    if json {
        say(&report_object(directory, &report).to_string());
    } else {
        say(&report_lines(&report));
    }
    if report.damage.is_empty() {
        return ExitCode::SUCCESS;
    }
    for damage in &report.damage {
        eprintln!("ringfenced: {}: {}\n  next: {}", damage.file.display(), damage.what, damage.next);
    }
    ExitCode::from(CANNOT_START)
}

fn report_object(directory: &Path, report: &Report) -> Value {
    let snapshots: Vec<Value> = report
        .snapshots
        .iter()
        .map(|snapshot| {
            json!({
                "file": snapshot.name,
                "index": snapshot.index,
                "revision": snapshot.revision,
                "keys": snapshot.keys,
                "bytes": snapshot.bytes,
            })
        })
        .collect();
    let damage: Vec<Value> = report
        .damage
        .iter()
        .map(|damage| json!({"file": damage.file.display().to_string(), "what": damage.what, "next": damage.next}))
        .collect();
    json!({
        "data_dir": directory.display().to_string(),
        "sound": report.damage.is_empty(),
        "cluster_id": format!("{:016x}", report.cluster),
        "node_id": report.node,
        "term": report.term,
        "entries": report.entries,
        "last_index": report.last_index,
        "purged_index": report.purged_index,
        "copied_bytes": report.copied_bytes,
        "snapshots": snapshots,
        "damage": damage,
    })
}

fn report_lines(report: &Report) -> String {
    let verdict = if report.damage.is_empty() { "all of it is sound" } else { "damage was found" };
    let mut lines = format!(
        "node {} of cluster {:016x}: {verdict}\n\
         log: {} entries up to {}, purged up to {}, vote in term {} (checked in a copy of {} bytes)",
        report.node,
        report.cluster,
        report.entries,
        report.last_index,
        report.purged_index,
        report.term,
        report.copied_bytes,
    );
    for snapshot in &report.snapshots {
        lines.push_str(&format!(
            "\nsnapshot {}: up to entry {}, revision {}, {} keys, {} bytes",
            snapshot.name, snapshot.index, snapshot.revision, snapshot.keys, snapshot.bytes
        ));
    }
    lines
}

fn failed(message: &str) -> ExitCode {
    eprintln!("ringfenced: {message}");
    ExitCode::from(CANNOT_START)
}
