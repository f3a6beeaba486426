//! etcd.

use std::time::Duration;

use anyhow::{Context, Result};
use etcd_client::{Client, DeleteOptions, Error, GetOptions, LockOptions, WatchOptions, WatchStream};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Plan, Report, drive,
    workload::{self, Begun, KEYS, PREFIX, VALUE_BYTES, WRITES_AT_ONCE, walk},
};
use tokio::time::Instant;

use crate::Workload;

/// Of the leases that locks live by, in seconds.
const TTL_SECONDS: i64 = 10;
/// Between two renewals of a lease.
const RENEWED_EVERY: Duration = Duration::from_secs(3);

/// The connections, each made to another node.
pub struct Field {
    connections: Vec<Client>,
}

fn key(number: u64) -> String {
    workload::key(PREFIX, number, KEYS.into())
}

fn value() -> Vec<u8> {
    vec![b'v'; VALUE_BYTES as usize]
}

impl Field {
    /// Connects, each connection with another node first.
    pub async fn connect(endpoints: &[String], connections: usize) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..connections {
            let endpoint = &endpoints[number % endpoints.len()];
            clients.push(Client::connect([endpoint], None).await.with_context(|| format!("connect to {endpoint}"))?);
        }
        Ok(Self { connections: clients })
    }

    fn client(&self, number: usize) -> Client {
        self.connections[number % self.connections.len()].clone()
    }

    async fn prepare(&self, workload: Workload) -> Result<()> {
        let reads = matches!(workload, Workload::Get | Workload::StaleGet | Workload::Mixed);
        let client = self.client(0);
        let puts = stream::iter(0..if reads { KEYS.into() } else { 1 }).map(|number| {
            let mut client = client.clone();
            async move { client.put(key(number), value(), None).await }
        });
        puts.buffer_unordered(WRITES_AT_ONCE).try_for_each(async |_| Ok(())).await?;
        Ok(())
    }
}

/// Runs a workload, and deletes what it has written.
pub async fn run(plan: &Plan, workload: Workload, field: &Field) -> Result<Report> {
    field.prepare(workload).await?;
    let worker = |number, meter| keys(field.client(number), workload, meter, number);
    let report = match workload {
        Workload::Put | Workload::Get | Workload::StaleGet | Workload::Mixed => drive(plan, worker, |_| {}).await,
        Workload::Lock | Workload::Handoff => {
            let own = workload == Workload::Lock;
            drive(plan, |number, meter| locks(field.client(number), own, meter, number), |_| {}).await
        }
        Workload::Watch => watch(plan, field).await?,
    };
    let prefix = Some(DeleteOptions::new().with_prefix());
    field.client(0).delete(PREFIX, prefix).await?;
    Ok(report)
}

async fn keys(mut client: Client, workload: Workload, meter: Meter, number: usize) {
    for (mixed_writes, number) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        let writes = workload == Workload::Put || (workload == Workload::Mixed && mixed_writes);
        let done = if writes {
            client.put(key(number), value(), None).await.map(drop)
        } else {
            let stale = (workload == Workload::StaleGet).then(|| GetOptions::new().with_serializable());
            client.get(key(number), stale).await.map(drop)
        };
        meter.ended(begun, done);
    }
}

/// Takes a lock and releases it. Of an own lock both count, of one that others want the wait alone.
async fn locks(client: Client, own: bool, meter: Meter, number: usize) {
    let name = if own { format!("{PREFIX}locks/{number}") } else { format!("{PREFIX}lock") };
    let mut lease = None;
    while let Some(begun) = meter.next().await {
        if let Err(error) = lock(client.clone(), &name, own, &mut lease, begun, &meter).await {
            lease = None;
            meter.ended(begun, Err(error));
        }
    }
    if let Some(Lease { id, .. }) = lease {
        let mut client = client;
        let _ = client.lease_revoke(id).await;
    }
}

/// A lease that is renewed as long as this value lives.
struct Lease {
    id: i64,
    renewing: tokio::task::JoinHandle<()>,
}

impl Lease {
    async fn grant(mut client: Client) -> Result<Self, Error> {
        let id = client.lease_grant(TTL_SECONDS, None).await?.id();
        let (mut keeper, mut answers) = client.lease_keep_alive(id).await?;
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED_EVERY).await;
                if keeper.keep_alive().await.is_err() || answers.message().await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { id, renewing })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn lock(
    mut client: Client,
    name: &str,
    own: bool,
    lease: &mut Option<Lease>,
    begun: Instant,
    meter: &Meter,
) -> Result<(), Error> {
    let lease = match lease {
        Some(lease) => lease,
        None => lease.insert(Lease::grant(client.clone()).await?),
    };
    let held = client.lock(name, Some(LockOptions::new().with_lease(lease.id))).await?;
    if !own {
        meter.arrived(begun);
    }
    client.unlock(held.key()).await?;
    if own {
        meter.arrived(begun);
    }
    Ok(())
}

async fn watch(plan: &Plan, field: &Field) -> Result<Report> {
    let mut watchers: Vec<WatchStream> = Vec::new();
    for number in 0..plan.clients {
        let options = WatchOptions::new().with_prefix();
        watchers.push(field.client(number).watch(format!("{PREFIX}keys/"), Some(options)).await?);
    }
    let (begun, mut watchers) = (Begun::default(), watchers.into_iter());
    let with_writer = Plan { clients: plan.clients + 1, ..plan.clone() };
    let worker = |_, meter: Meter| {
        let (begun, watcher, writer) = (begun.clone(), watchers.next(), field.client(0));
        async move {
            match watcher {
                Some(events) => tokio::select! {
                    () = see(events, &begun, &meter) => {}
                    () = meter.over() => {}
                },
                None => write(writer, &begun, &meter).await,
            }
        }
    };
    let report = drive(&with_writer, worker, |_| {}).await;
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

async fn write(mut client: Client, begun: &Begun, meter: &Meter) {
    let mut value = value();
    for number in 0.. {
        let Some(moment) = meter.next().await else { return };
        begun.note(number, moment, &mut value);
        if let Err(error) = client.put(key(number), value.clone(), None).await {
            meter.ended(moment, Err(error));
        }
    }
}
