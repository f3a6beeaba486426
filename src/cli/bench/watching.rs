//! The fan-out of watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use ringfence_client::{Client, Error, WatchItem, WatchOptions, Watcher};
use tokio::time::Instant;

use super::{Failure, Field, Meter, Plan, Progress, Report, drive};

/// When the write began whose number a value begins with; kept while watchers may still have to see it.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<BTreeMap<u64, Instant>>>);

/// Writes of which the beginning is known; a watcher that is further behind isn't measured any more.
const KEPT: u64 = 100_000;

impl Begun {
    fn note(&self, number: u64, begun: Instant) {
        let mut all = self.0.lock();
        all.insert(number, begun);
        all.remove(&number.wrapping_sub(KEPT));
    }

    fn of(&self, value: &[u8]) -> Option<Instant> {
        let number = u64::from_be_bytes(*value.first_chunk()?);
        self.0.lock().get(&number).copied()
    }
}

/// All clients watch, and one more writes.
pub async fn run(
    plan: &Plan,
    writer: &Client,
    client: impl Fn(usize) -> Client,
    field: &Field,
    show: impl FnMut(&Progress),
) -> Result<Report, Failure> {
    let mut watchers = Vec::new();
    for number in 0..plan.clients {
        watchers.push(client(number).watch(WatchOptions::prefix(field.name("keys/"))).await?);
    }
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
        if let Some(place) = value.first_chunk_mut() {
            *place = number.to_be_bytes();
        }
        begun.note(number, moment);
        let done: Result<_, Error> = client.kv().put(field.key(number), &value).await;
        if let Err(error) = done {
            meter.ended(moment, Err(error));
        }
        number += 1;
    }
}
