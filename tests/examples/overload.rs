//! Puts far too much of each kind on a cluster of three, and reports what a client beside it sees: see `scripts/overload`.

use std::process::ExitCode;

use anyhow::Context;
use ringfence_cluster::Cluster;
use ringfence_tests::overload::{Kind, Report, Size, run};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let (mut json, mut small, mut kinds) = (false, false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--small" => small = true,
            name => {
                let names = || Kind::ALL.map(Kind::name).join(", ");
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                kinds.push(kind.with_context(|| format!("{name} is no load; there are {}", names()))?);
            }
        }
    }
    if kinds.is_empty() {
        kinds = Kind::ALL.to_vec();
    }
    raise_files();
    if !json {
        println!("{}", Report::titles());
    }
    let mut broken = 0;
    for kind in kinds {
        let cluster = Cluster::builder().nodes(3).start().await?;
        let size = if small { Size::small(kind) } else { Size::whole(kind) };
        let report = run(&cluster, kind, size).await?;
        match json {
            true => println!("{}", object(&report)),
            false => println!("{report}"),
        }
        broken += report.broken.len();
        cluster.stop().await?;
    }
    if broken > 0 {
        eprintln!("{broken} promises were broken");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Each connection is a file.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("the limit on open files can't be raised: {error}");
    }
}

fn object(report: &Report) -> serde_json::Value {
    let Report { kind, size, done, refused, seen, memory, broken } = report;
    let mut object = serde_json::json!({
        "load": kind.name(),
        "count": size.count,
        "done": done,
        "refused": refused,
        "memory_bytes": memory,
        "broken": broken,
    });
    for (what, times) in [("lock", &seen.locks), ("put", &seen.writes), ("get", &seen.reads)] {
        object[format!("{what}_count")] = times.count().into();
        for (name, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
            object[format!("{what}_{name}_ms")] = times.ms(percent).into();
        }
    }
    object
}
