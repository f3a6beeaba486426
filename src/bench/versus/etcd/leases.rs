//! Leases: what corresponds to sessions.

use std::time::Duration;

use anyhow::Result;
use etcd_client::{Client, Error, LeaseKeepAliveStream, LeaseKeeper};
use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::{
    Meter, Plan, Progress, Report, drive,
    workload::{CALLS_AT_ONCE, TTL},
};
use tokio::{task::JoinHandle, time::Instant};

use super::Field;
use crate::Workload;

/// Between two renewals of a lease that isn't renewed on purpose.
const RENEWED_EVERY: Duration = Duration::from_millis(TTL.as_millis() as u64 / 3);
/// Between two looks at one.
const LOOK: Duration = Duration::from_secs(1);

/// A lease that is renewed as long as this value lives.
pub struct Lease {
    pub id: i64,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// The one that there is, or a new one.
    pub async fn of(lease: &mut Option<Self>, client: Client) -> Result<&Self, Error> {
        Ok(match lease {
            Some(lease) => lease,
            None => lease.insert(Self::grant(client).await?),
        })
    }

    async fn grant(client: Client) -> Result<Self, Error> {
        let mut kept = Kept::grant(client).await?;
        let id = kept.id;
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED_EVERY).await;
                if kept.renew().await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { id, renewing })
    }

    /// Ends it, if there is one.
    pub async fn revoke(lease: Option<Self>, mut client: Client) {
        if let Some(lease) = &lease {
            // What can't be revoked expires.
            let _ = client.lease_revoke(lease.id).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// A lease with the stream that it is renewed on.
struct Kept {
    id: i64,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

impl Kept {
    async fn grant(mut client: Client) -> Result<Self, Error> {
        let id = client.lease_grant(i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX), None).await?.id();
        let (keeper, answers) = client.lease_keep_alive(id).await?;
        Ok(Self { id, keeper, answers })
    }

    /// Renews it, and waits for the answer.
    async fn renew(&mut self) -> Result<(), String> {
        self.keeper.keep_alive().await.map_err(|error| error.to_string())?;
        match self.answers.message().await {
            Ok(Some(answer)) if answer.ttl() > 0 => Ok(()),
            Ok(_) => Err("the lease is over".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Grants a lease for each client, has them renewed, and revokes them.
pub async fn run(plan: &Plan, workload: Workload, field: &Field, show: impl FnMut(&Progress)) -> Result<Report> {
    let grant = |number| Kept::grant(field.client(number));
    let leases: Vec<Kept> = stream::iter(0..plan.clients).map(grant).buffered(CALLS_AT_ONCE).try_collect().await?;
    let ids: Vec<i64> = leases.iter().map(|lease| lease.id).collect();
    let mut leases = leases.into_iter();
    let worker = |number, meter: Meter| {
        let lease = leases.next();
        async move {
            match lease {
                Some(lease) if workload == Workload::Hold => hold(lease, number, &meter).await,
                Some(lease) => renew(lease, &meter).await,
                None => {}
            }
        }
    };
    let report = drive(plan, worker, show).await;
    let revoke = async |(number, id)| drop(field.client(number).lease_revoke(id).await);
    stream::iter(ids.into_iter().enumerate()).for_each_concurrent(CALLS_AT_ONCE, revoke).await;
    Ok(report)
}

async fn renew(mut lease: Kept, meter: &Meter) {
    while let Some(begun) = meter.next().await {
        let done = lease.renew().await;
        let lost = done.is_err();
        meter.ended(begun, done);
        if lost {
            return;
        }
    }
}

/// Renews it as an application would; what counts, each second, is how long ago the last renewal was sent that was acknowledged.
async fn hold(mut lease: Kept, number: usize, meter: &Meter) {
    // Not all look at the same time.
    let mut look = Instant::now() + LOOK.mul_f64((number % 1000) as f64 / 1000.0);
    let mut acknowledged = Instant::now();
    loop {
        tokio::time::sleep_until(look).await;
        if meter.next().await.is_none() {
            return;
        }
        look += LOOK;
        meter.lasted(acknowledged.elapsed());
        if acknowledged.elapsed() + LOOK > RENEWED_EVERY {
            let sent = Instant::now();
            if let Err(error) = lease.renew().await {
                return meter.ended(sent, Err(error));
            }
            acknowledged = sent;
        }
    }
}
