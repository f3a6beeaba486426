//! Puts clients to work, and says how long what they do takes.

mod claims;
mod keys;
mod sessions;
mod watching;

use std::time::Duration;

use ringfence_bench::{Meter, Plan, Progress, Report, drive, workload};

use crate::args::bench::{BenchArgs, Workload};
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::output::Object;

/// What all clients of a run know.
#[derive(Clone)]
struct Field {
    prefix: String,
    keys: u64,
    value: Vec<u8>,
    clients: u64,
}

impl Field {
    /// One of the keys.
    fn key(&self, number: u64) -> String {
        workload::key(&self.prefix, number, self.keys)
    }

    /// What is claimed; each workload has another, since one name has one mode.
    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }
}

/// Does one of the workloads.
pub async fn run(context: &Context, args: BenchArgs) -> Done {
    let field = Field {
        prefix: args.prefix.clone(),
        keys: args.keys.into(),
        value: vec![b'v'; args.value_size as usize],
        clients: args.clients.into(),
    };
    let connections = args.connections.unwrap_or(args.clients.min(workload::CONNECTIONS_MAX));
    let clients = (0..connections).map(|_| context.another_client()).collect::<Result<Vec<_>, _>>()?;
    let lasts = args.seconds.map_or(args.duration, Duration::from_secs);
    let plan = Plan { clients: args.clients as usize, lasts, warmup: args.warmup, rate: args.rate };
    let client = |number: usize| clients.get(number % clients.len()).unwrap_or(&context.client).clone();
    let show = |progress: &Progress| tell(context, args.workload, &plan, progress);
    // The first call says in good order what is wrong with the cluster.
    keys::prepare(context, &field, args.workload).await?;
    let report = match args.workload {
        Workload::Put => {
            drive(&plan, |number, meter| keys::put(client(number), field.clone(), meter, number), show).await
        }
        Workload::Get | Workload::StaleGet => {
            let stale = args.workload == Workload::StaleGet;
            drive(&plan, |number, meter| keys::get(client(number), field.clone(), meter, number, stale), show).await
        }
        Workload::Mixed => {
            drive(&plan, |number, meter| keys::mixed(client(number), field.clone(), meter, number), show).await
        }
        Workload::Lock | Workload::Handoff | Workload::Semaphore => {
            let locking = claims::Locking::of(args.workload);
            drive(&plan, |number, meter| claims::lock(client(number), field.clone(), meter, number, locking), show)
                .await
        }
        Workload::Elect => {
            drive(&plan, |number, meter| claims::elect(client(number), field.clone(), meter), show).await
        }
        Workload::Renew | Workload::Hold => sessions::run(&plan, args.workload, client, show).await?,
        Workload::Watch => watching::run(&plan, args.writers as usize, client, &field, show).await?,
    };
    context.output.progress_line("");
    let cleared = if args.keep { Ok(()) } else { keys::clear(context, &field).await };
    context.output.either(|| object(args.workload, &report), || lines(args.workload, &report))?;
    cleared?;
    Ok(exit::DONE)
}

/// Tells how far it is: people on one line, programs with an object.
fn tell(context: &Context, workload: Workload, plan: &Plan, progress: &Progress) {
    if context.output.is_json() {
        let object = Object::new()
            .field("at_s", progress.at.as_secs())
            .field("ops_per_s", progress.since_last)
            .field("errors", progress.errors);
        // Who reads no more doesn't read the result either, and that says so.
        let _ = context.output.object(object);
        return;
    }
    let left = plan.lasts.saturating_sub(progress.at).as_secs();
    let errors = if progress.errors > 0 { format!(", {} failed", progress.errors) } else { String::new() };
    context.output.progress_line(&format!(
        "{}: {} a second{errors}; {left} s to go",
        workload.name(),
        progress.since_last
    ));
}

fn object(workload: Workload, report: &Report) -> Object {
    let mut object = Object::new().field("workload", workload.name());
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(report) {
        for (name, value) in fields {
            object = object.field(&name, value);
        }
    }
    object
}

fn lines(workload: Workload, report: &Report) -> String {
    let rate = report.rate.map_or_else(|| "in a closed loop".to_owned(), |rate| format!("at {rate} a second"));
    let mut text = format!(
        "{}, {} clients {rate}, {:.1} s\n  {:.0} a second, {} in all, {} failed\n  \
         p50 {:.2} ms   p90 {:.2} ms   p99 {:.2} ms   p99.9 {:.2} ms   max {:.2} ms   mean {:.2} ms",
        workload.name(),
        report.clients,
        report.seconds,
        report.ops_per_s,
        report.ops,
        report.errors,
        report.p50_ms,
        report.p90_ms,
        report.p99_ms,
        report.p999_ms,
        report.max_ms,
        report.mean_ms,
    );
    if let Some(error) = &report.first_error {
        text += &format!("\n  the first that failed: {error}");
    }
    text
}
