//! The fan-out of watches.

use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Numbers, fan_out,
    workload::{Begun, CALLS_AT_ONCE},
};
use ringfence_client::{Client, Error, WatchItem, WatchOptions, Watcher};
use tokio::time::Instant;

use super::{Failure, Field, Meter, Plan, Progress, Report};

/// All clients watch, and so many more write, each on one of the same connections.
pub async fn run(
    plan: &Plan,
    writers: usize,
    client: impl Fn(usize) -> Client,
    field: &Field,
    show: impl FnMut(&Progress),
) -> Result<Report, Failure> {
    let begin = |number| {
        let client = client(number);
        async move { client.watch(WatchOptions::prefix(field.name("keys/"))).await }
    };
    let watchers: Vec<Watcher> = stream::iter(0..plan.clients).map(begin).buffered(CALLS_AT_ONCE).try_collect().await?;
    let begun = Begun::default();
    let watching = |watcher, meter| watch(watcher, begun.clone(), meter);
    let writing = |writer, numbers, meter| write(client(writer), field.clone(), numbers, begun.clone(), meter);
    Ok(fan_out(plan, watchers, writers, watching, writing, show).await)
}

async fn watch(mut watcher: Watcher, begun: Begun, meter: Meter) {
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
async fn write(client: Client, field: Field, numbers: Numbers, begun: Begun, meter: Meter) {
    let mut value = field.value.clone();
    for number in numbers {
        let Some(moment) = meter.next().await else { return };
        begun.note(number, moment, &mut value);
        let done: Result<_, Error> = client.kv().put(field.key(number), &value).await;
        if let Err(error) = done {
            meter.ended(moment, Err(error));
        }
    }
}
