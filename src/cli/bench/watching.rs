//! The fan-out of watches.

use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::workload::{Begun, CALLS_AT_ONCE};
use ringfence_client::{Client, Error, WatchItem, WatchOptions, Watcher};
use tokio::time::Instant;

use super::{Failure, Field, Meter, Plan, Progress, Report, drive};

/// All clients watch, and one more writes.
pub async fn run(
    plan: &Plan,
    writer: &Client,
    client: impl Fn(usize) -> Client,
    field: &Field,
    show: impl FnMut(&Progress),
) -> Result<Report, Failure> {
    let begin = |number| {
        let client = client(number);
        async move { client.watch(WatchOptions::prefix(field.name("keys/"))).await }
    };
    let watchers: Vec<Watcher> = stream::iter(0..plan.clients).map(begin).buffered(CALLS_AT_ONCE).try_collect().await?;
    let (begun, mut watchers) = (Begun::default(), watchers.into_iter());
    let with_writer = Plan { clients: plan.clients + 1, ..plan.clone() };
    let worker = |_, meter: Meter| {
        let (begun, writer, field) = (begun.clone(), writer.clone(), field.clone());
        let watcher = watchers.next();
        async move {
            match watcher {
                Some(watcher) => tokio::select! {
                    () = watch(watcher, &begun, &meter) => {}
                    () = meter.over() => {}
                },
                None => write(&writer, &field, &begun, &meter).await,
            }
        }
    };
    let report = drive(&with_writer, worker, show).await;
    Ok(Report { clients: plan.clients, ..report })
}

async fn watch(mut watcher: Watcher, begun: &Begun, meter: &Meter) {
    while let Some(item) = watcher.next().await {
        match item {
            Ok(WatchItem::Events(events)) => {
                for event in events {
                    if let Some(begun) = begun.of(&event.kv.value) {
                        meter.arrived(begun);
                    }
                }
            }
            Ok(_) => {}
            Err(error) => return meter.ended(Instant::now(), Err(error)),
        }
    }
}

/// Only writes that fail are counted: what counts is what arrives.
async fn write(client: &Client, field: &Field, begun: &Begun, meter: &Meter) {
    let mut value = field.value.clone();
    let mut number = 0_u64;
    while let Some(moment) = meter.next().await {
        begun.note(number, moment, &mut value);
        let done: Result<_, Error> = client.kv().put(field.key(number), &value).await;
        if let Err(error) = done {
            meter.ended(moment, Err(error));
        }
        number += 1;
    }
}
