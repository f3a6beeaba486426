//! The fan-out of watches.

use anyhow::Result;
use etcd_client::{Client, WatchOptions, WatchStream};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Plan, Progress, Report, drive,
    workload::{Begun, CALLS_AT_ONCE, PREFIX},
};
use tokio::time::Instant;

use super::Field;
use crate::Load;

/// All clients watch, and so many more write as the load says, each on one of the same connections.
pub async fn run(plan: &Plan, field: &Field, show: impl FnMut(&Progress)) -> Result<Report> {
    let begin = |number| {
        let mut client = field.client(number);
        async move { client.watch(format!("{PREFIX}keys/"), Some(WatchOptions::new().with_prefix())).await }
    };
    let watchers: Vec<WatchStream> =
        stream::iter(0..plan.clients).map(begin).buffered(CALLS_AT_ONCE).try_collect().await?;
    let (begun, mut watchers) = (Begun::default(), watchers.into_iter());
    let writers = field.load.writers;
    let with_writers = Plan { clients: plan.clients + writers, ..plan.clone() };
    let worker = |number: usize, meter: Meter| {
        let writer = number.saturating_sub(plan.clients);
        let numbers = (writer as u64..).step_by(writers);
        let (begun, watcher, writer, load) = (begun.clone(), watchers.next(), field.client(writer), field.load.clone());
        async move {
            match watcher {
                Some(events) => tokio::select! {
                    () = see(events, &begun, &meter) => {}
                    () = meter.over() => {}
                },
                None => write(writer, &load, numbers, &begun, &meter).await,
            }
        }
    };
    let report = drive(&with_writers, worker, show).await;
    Ok(Report { clients: plan.clients, ..report })
}

async fn see(mut events: WatchStream, begun: &Begun, meter: &Meter) {
    loop {
        match events.message().await {
            Ok(Some(message)) => {
                for event in message.events() {
                    if let Some(moment) = event.kv().and_then(|kv| begun.of(kv.value())) {
                        meter.arrived(moment);
                    }
                }
            }
            Ok(None) => return,
            Err(error) => return meter.ended(Instant::now(), Err(error)),
        }
    }
}

async fn write(mut client: Client, load: &Load, numbers: impl Iterator<Item = u64>, begun: &Begun, meter: &Meter) {
    let mut value = load.value.clone();
    for number in numbers {
        let Some(moment) = meter.next().await else { return };
        begun.note(number, moment, &mut value);
        if let Err(error) = client.put(load.key(number), value.clone(), None).await {
            meter.ended(moment, Err(error));
        }
    }
}
