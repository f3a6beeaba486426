//! ZooKeeper. Keys are nodes; the connections are sessions, which its client keeps alive by itself.

mod claims;
mod watching;

use anyhow::{Context, Result, bail};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Plan, Progress, Report, drive,
    workload::{CALLS_AT_ONCE, PREFIX, TTL, walk},
};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use crate::{Load, Workload};

/// Of nodes that stay until they are deleted.
const STAYS: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());

/// The connections, each made to another node.
pub struct Field {
    connections: Vec<Client>,
    load: Load,
}

/// Where something lies: a path begins with a slash, and doesn't end with one.
fn path(below: &str) -> String {
    format!("/{PREFIX}{below}").trim_end_matches('/').to_owned()
}

/// The path of one of the keys.
fn key(load: &Load, number: u64) -> String {
    format!("/{}", load.key(number))
}

impl Field {
    /// Connects, each connection with another node.
    pub async fn connect(endpoints: &[String], connections: usize, load: Load) -> Result<Self> {
        let mut clients = Vec::new();
        for number in 0..connections {
            let endpoint = &endpoints[number % endpoints.len()];
            let client = Client::connector().with_session_timeout(TTL).connect(endpoint).await;
            clients.push(client.with_context(|| format!("connect to {endpoint}"))?);
        }
        Ok(Self { connections: clients, load })
    }

    fn client(&self, number: usize) -> Client {
        self.connections[number % self.connections.len()].clone()
    }

    /// What is written must be there before, as everything that it lies below.
    async fn prepare(&self, workload: Workload) -> Result<()> {
        let client = self.client(0);
        for directory in ["keys", "locks", "lock", "semaphore", "election"] {
            client.mkdir(&path(directory), &STAYS).await?;
        }
        let (own, keys) = match workload {
            Workload::Lock => (self.load.clients, 0),
            Workload::Handoff | Workload::Semaphore | Workload::Elect => (0, 0),
            _ => (0, self.load.keys),
        };
        let parents = (0..own).map(|number| (path(&format!("locks/{number}")), Vec::new()));
        let keys = (0..keys).map(|number| (key(&self.load, number), self.load.value.clone()));
        let create = |(path, value): (String, Vec<u8>)| {
            let client = &client;
            async move { client.create(&path, &value, &STAYS).await.map(drop) }
        };
        let created = stream::iter(parents.chain(keys)).map(create).buffer_unordered(CALLS_AT_ONCE);
        created.try_for_each(async |()| Ok(())).await?;
        Ok(())
    }

    /// Deletes everything.
    async fn clear(&self) -> Result<()> {
        let client = &self.client(0);
        for directory in ["keys", "locks", "lock", "semaphore", "election", ""] {
            let directory = path(directory);
            for child in client.list_children(&directory).await? {
                // Of own locks only the parents are left.
                absent(client.delete(&format!("{directory}/{child}"), None).await)?;
            }
            absent(client.delete(&directory, None).await)?;
        }
        Ok(())
    }
}

/// What isn't there any more needn't be deleted.
fn absent(deleted: Result<(), Error>) -> Result<(), Error> {
    match deleted {
        Err(Error::NoNode) => Ok(()),
        other => other,
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
        Workload::Lock => {
            drive(plan, |number, meter| claims::own_lock(field.client(number), meter, number), show).await
        }
        Workload::Handoff | Workload::Elect => {
            let queue = path(if workload == Workload::Elect { "election" } else { "lock" });
            drive(plan, |number, meter| claims::one_lock(field.client(number), queue.clone(), meter), show).await
        }
        Workload::Semaphore => {
            let permits = (plan.clients / 2).max(1);
            drive(plan, |number, meter| claims::semaphore(field.client(number), permits, meter), show).await
        }
        Workload::Watch => watching::run(plan, field, show).await?,
        Workload::Renew | Workload::Hold => bail!("ZooKeeper's client renews its sessions by itself"),
    };
    if !load.keep {
        field.clear().await?;
    }
    Ok(report)
}

async fn keys(client: Client, load: Load, workload: Workload, meter: Meter, number: usize) {
    for (mixed_writes, number) in walk(number) {
        let Some(begun) = meter.next().await else { return };
        let path = key(&load, number);
        let done = if workload.writes(mixed_writes) {
            client.set_data(&path, &load.value, None).await.map(drop)
        } else if workload == Workload::StaleGet {
            client.get_data(&path).await.map(drop)
        } else {
            // Both are sent at once; a connection's requests are answered in order.
            let (synced, got) = tokio::join!(client.sync(&path), client.get_data(&path));
            synced.and(got.map(drop))
        };
        meter.ended(begun, done);
    }
}
