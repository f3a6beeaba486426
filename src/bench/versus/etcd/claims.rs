//! Locks and elections, with etcd's own recipes on the server.

use etcd_client::{Client, Error, LockOptions, ResignOptions};
use ringfence_bench::{Meter, workload::PREFIX};
use tokio::time::Instant;

use super::leases::Lease;

/// Takes a lock and releases it. Of an own lock both count, of one that others want the wait alone.
pub async fn locks(client: Client, own: bool, meter: Meter, number: usize) {
    let name = if own { format!("{PREFIX}locks/{number}") } else { format!("{PREFIX}lock") };
    let mut lease = None;
    while let Some(begun) = meter.next().await {
        if let Err(error) = lock(client.clone(), &name, own, &mut lease, begun, &meter).await {
            lease = None;
            meter.ended(begun, Err(error));
        }
    }
    Lease::revoke(lease, client).await;
}

async fn lock(
    mut client: Client,
    name: &str,
    own: bool,
    lease: &mut Option<Lease>,
    begun: Instant,
    meter: &Meter,
) -> Result<(), Error> {
    let lease = Lease::of(lease, client.clone()).await?;
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

/// Stands until it leads, and resigns; what counts is the wait.
pub async fn elect(client: Client, meter: Meter) {
    let mut lease = None;
    while let Some(begun) = meter.next().await {
        if let Err(error) = stand(client.clone(), &mut lease, begun, &meter).await {
            lease = None;
            meter.ended(begun, Err(error));
        }
    }
    Lease::revoke(lease, client).await;
}

async fn stand(mut client: Client, lease: &mut Option<Lease>, begun: Instant, meter: &Meter) -> Result<(), Error> {
    let lease = Lease::of(lease, client.clone()).await?;
    let mut won = client.campaign(format!("{PREFIX}election"), "candidate", lease.id).await?;
    meter.arrived(begun);
    if let Some(leader) = won.take_leader() {
        client.resign(Some(ResignOptions::new().with_leader(leader))).await?;
    }
    Ok(())
}
