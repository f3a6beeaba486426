//! The fan-out of watches.

use anyhow::Result;
use etcd_client::{Client, WatchOptions, WatchStream};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Numbers, Plan, Progress, Report, fan_out,
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
    let (begun, load) = (Begun::default(), &field.load);
    let watching = |watcher, meter| see(watcher, begun.clone(), meter);
    let writing = |writer, numbers, meter| write(field.client(writer), load.clone(), numbers, begun.clone(), meter);
    Ok(fan_out(plan, watchers, load.writers, watching, writing, show).await)
}

async fn see(mut events: WatchStream, begun: Begun, meter: Meter) {
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

async fn write(mut client: Client, load: Load, numbers: Numbers, begun: Begun, meter: Meter) {
    let mut value = load.value.clone();
    for number in numbers {
        let Some(moment) = meter.next().await else { return };
        begun.note(number, moment, &mut value);
        if let Err(error) = client.put(load.key(number), value.clone(), None).await {
            meter.ended(moment, Err(error));
        }
    }
}
