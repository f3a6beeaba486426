//! Who may know whom.

use std::fs;

use toml::{Table, Value};

use crate::{
    measure,
    tree::{Source, root},
};

/// Each room with the rooms of ours that it may depend on. The protocol is open to all who speak it; the core speaks nothing.
const ROOMS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("src/core", &["probes"]),
    ("src/tls", &[]),
    // The protocol for its tests alone.
    ("src/link", &["tls", "proto"]),
    ("src/client", &["proto", "link", "tls", "probes"]),
    ("src/cli", &["client", "bench"]),
    ("src/bench", &[]),
    ("src/uncounted", &[]),
    ("src/server", &["core", "proto", "link", "tls", "probes"]),
    ("cluster", &["client", "server", "proto", "tls"]),
    ("tests", &["cluster", "client", "cli", "proto", "link", "tls"]),
    ("tests/power", &["server", "core"]),
    // The simulation's workload, schedules, checkers and report, around real processes: there is only one of each.
    ("tests/torture", &["cluster", "client", "simulation"]),
    ("simulation", &["server", "client", "core", "proto", "probes"]),
    ("simulation/probes", &[]),
];
/// All that the pure core may use from outside.
const CORE_MAY_USE: &[&str] = &["bytes", "imbl", "thiserror", "xxhash-rust"];
/// The client is light, since applications link it.
const CLIENT_MUST_NOT_USE: &[&str] = &["openraft", "openraft-rt", "sled", "imbl", "zstd"];

/// The services of the API; every other module beside them is theirs in common.
const SERVICES: &[&str] = &["cluster", "election", "kv", "lock", "session", "watch"];
/// The one whose subject is raft's node itself.
const SPEAKS_TO_RAFT: &str = "cluster";

/// Dependencies that break a rule.
pub fn forbidden_dependencies() -> Vec<String> {
    let mut found = Vec::new();
    for (room, may) in ROOMS {
        for (table, name) in dependencies(room) {
            let ours = name.strip_prefix("ringfence-");
            // A client inside the server would hide what the wire does; see the table for everybody else.
            let allowed = match ours {
                // No program that serves anybody knows the simulation.
                Some("probes") if !room.starts_with("simulation") && !table.contains("cfg(madsim)") => false,
                Some(ours) => may.contains(&ours),
                None if *room == "src/core" => table.contains("dev-") || CORE_MAY_USE.contains(&name.as_str()),
                None if *room == "src/client" => !CLIENT_MUST_NOT_USE.contains(&name.as_str()),
                None => true,
            };
            if !allowed {
                found.push(format!("{room}/Cargo.toml: [{table}] {name}"));
            }
        }
    }
    found
}

/// Lines of services that name raft or another service.
pub fn services_that_look_sideways(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(path) = source.path.strip_prefix("src/server/api/") else {
            continue;
        };
        let own = path.split(['/', '.']).next().unwrap_or_default();
        if !SERVICES.contains(&own) {
            continue;
        }
        for (number, statement) in measure::statements(&source.text) {
            let raft = own != SPEAKS_TO_RAFT && measure::names_module(&statement, "raft");
            let sideways = SERVICES.iter().filter(|service| **service != own).any(|service| {
                let ways = [format!("api::{service}::"), format!("super::{service}::")];
                ways.iter().any(|way| statement.contains(way))
            });
            if raft || sideways {
                found.push(format!("{}:{number}: {statement}", source.path));
            }
        }
    }
    found
}

/// All dependencies of a room's crate, each with the table that it stands in.
fn dependencies(room: &str) -> Vec<(String, String)> {
    let file = root().join(room).join("Cargo.toml");
    let text = fs::read_to_string(&file).expect("every room has a manifest");
    let manifest: Table = toml::from_str(&text).expect("a manifest is TOML");
    let mut found = Vec::new();
    gather("", &manifest, &mut found);
    found
}

fn gather(path: &str, table: &Table, found: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let Value::Table(inner) = value else { continue };
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if key.ends_with("dependencies") {
            found.extend(inner.iter().map(|(name, spec)| (path.clone(), real_name(name, spec))));
        } else if key != "features" {
            gather(&path, inner, found);
        }
    }
}

/// The crate's own name, where it was renamed.
fn real_name(name: &str, spec: &Value) -> String {
    spec.get("package").and_then(Value::as_str).unwrap_or(name).to_owned()
}
