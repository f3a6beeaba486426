//! The fan-out of watches.

use anyhow::Result;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Numbers, Plan, Progress, Report, fan_out,
    workload::{Begun, CALLS_AT_ONCE},
};
use tokio::time::Instant;
use zookeeper_client::{AddWatchMode, Client, EventType, PersistentWatcher};

use super::{Field, key, path};
use crate::Load;

/// All clients watch, and so many more write as the load says, each on one of the same connections.
pub async fn run(plan: &Plan, field: &Field, show: impl FnMut(&Progress)) -> Result<Report> {
    let begin = |number| {
        let client = field.client(number);
        async move {
            let watcher = client.watch(&path("keys"), AddWatchMode::PersistentRecursive).await;
            watcher.map(|watcher| (client.clone(), watcher))
        }
    };
    let watchers: Vec<_> = stream::iter(0..plan.clients).map(begin).buffered(CALLS_AT_ONCE).try_collect().await?;
    let (begun, load) = (Begun::default(), &field.load);
    let watching = |(client, watcher), meter| see(client, watcher, begun.clone(), meter);
    let writing = |writer, numbers, meter| write(field.client(writer), load.clone(), numbers, begun.clone(), meter);
    Ok(fan_out(plan, watchers, load.writers, watching, writing, show).await)
}

/// An event names a node and no value: that is asked for, as who watches must. Several may be under way.
async fn see(client: Client, mut watcher: PersistentWatcher, begun: Begun, meter: Meter) {
    let mut asked = FuturesUnordered::new();
    loop {
        tokio::select! {
            event = watcher.changed() => match event.event_type {
                EventType::NodeDataChanged => asked.push(client.get_data(&event.path)),
                EventType::Session if event.session_state.is_terminated() => {
                    return meter.ended(Instant::now(), Err("the session is over"));
                }
                _ => {}
            },
            Some(answer) = asked.next() => match answer {
                Ok((value, _)) => {
                    if let Some(moment) = begun.of(&value) {
                        meter.arrived(moment);
                    }
                }
                Err(error) => meter.ended(Instant::now(), Err(error)),
            },
        }
    }
}

async fn write(client: Client, load: Load, numbers: Numbers, begun: Begun, meter: Meter) {
    let mut value = load.value.clone();
    for number in numbers {
        let Some(moment) = meter.next().await else { return };
        begun.note(number, moment, &mut value);
        if let Err(error) = client.set_data(&key(&load, number), &value, None).await {
            meter.ended(moment, Err(error));
        }
    }
}
