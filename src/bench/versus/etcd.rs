//! etcd.

mod claims;
mod leases;
mod watching;

use anyhow::{Context, Result, bail};
use etcd_client::{Client, DeleteOptions, GetOptions};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Plan, Progress, Report, drive,
    workload::{CALLS_AT_ONCE, PREFIX, walk},
};

use crate::{Load, Workload};

/// The connections, each made to another node.
pub struct Field {
    connections: Vec<Client>,
    load: Load,
}

impl Field {
    /// Connects, each connection with another node first.
    pub async fn connect(endpoints: &[String], connections: usize, load: Load) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..connections {
            let endpoint = &endpoints[number % endpoints.len()];
            clients.push(Client::connect([endpoint], None).await.with_context(|| format!("connect to {endpoint}"))?);
        }
        Ok(Self { connections: clients, load })
    }

    fn client(&self, number: usize) -> Client {
        self.connections[number % self.connections.len()].clone()
    }

    async fn prepare(&self, workload: Workload) -> Result<()> {
        let client = self.client(0);
        let puts = stream::iter(0..if workload.reads() { self.load.keys } else { 1 }).map(|number| {
            let mut client = client.clone();
            async move { client.put(self.load.key(number), self.load.value.clone(), None).await }
        });
        puts.buffer_unordered(CALLS_AT_ONCE).try_for_each(async |_| Ok(())).await?;
        Ok(())
    }
}

/// Runs a workload, and deletes what it has written.
pub async fn run(plan: &Plan, workload: Workload, field: &Field, show: impl FnMut(&Progress)) -> Result<Report> {
    field.prepare(workload).await?;
    let load = &field.load;
    let report = match workload {
        Workload::Put | Workload::Get | Workload::StaleGet | Workload::Mixed => {
            drive(plan, |number, meter| keys(field.client(number), load.clone(), workload, meter, number), show).await
        }
        Workload::Lock | Workload::Handoff => {
            let own = workload == Workload::Lock;
            drive(plan, |number, meter| claims::locks(field.client(number), own, meter, number), show).await
        }
        Workload::Elect => drive(plan, |number, meter| claims::elect(field.client(number), meter), show).await,
        Workload::Watch => watching::run(plan, field, show).await?,
        Workload::Renew | Workload::Hold => leases::run(plan, workload, field, show).await?,
        Workload::Semaphore => bail!("etcd has no semaphore"),
    };
    if !load.keep {
        let prefix = Some(DeleteOptions::new().with_prefix());
        field.client(0).delete(PREFIX, prefix).await?;
    }
    Ok(report)
}

async fn keys(mut client: Client, load: Load, workload: Workload, meter: Meter, number: usize) {
    for (mixed_writes, number) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        let done = if workload.writes(mixed_writes) {
            client.put(load.key(number), load.value.clone(), None).await.map(drop)
        } else {
            let stale = (workload == Workload::StaleGet).then(|| GetOptions::new().with_serializable());
            client.get(load.key(number), stale).await.map(drop)
        };
        meter.ended(begun, done);
    }
}
