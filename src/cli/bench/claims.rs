//! Workloads on locks and elections.

use ringfence_bench::workload::TTL;
use ringfence_client::{Client, Error, LockMode, Session, SessionOptions};
use tokio::time::Instant;

use super::{Field, Meter, Workload};

/// How locks are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Each client its own.
    Own,
    /// All the same.
    One,
    /// All the same, with half as many permits as clients.
    Permits,
}

impl Locking {
    /// What the workload asks for.
    pub fn of(workload: Workload) -> Self {
        match workload {
            Workload::Handoff => Self::One,
            Workload::Semaphore => Self::Permits,
            _ => Self::Own,
        }
    }
}

/// Takes a lock and releases it. Of an own lock both count, of one that others want the wait alone.
pub async fn lock(client: Client, field: Field, meter: Meter, number: usize, locking: Locking) {
    let name = match locking {
        Locking::Own => field.name(&format!("locks/{number}")),
        Locking::One => field.name("lock"),
        Locking::Permits => field.name("semaphore"),
    };
    let permits = u32::try_from(field.clients / 2).unwrap_or(u32::MAX).max(1);
    let mode = if locking == Locking::Permits { LockMode::Semaphore(permits) } else { LockMode::Exclusive };
    let mut session = None;
    while let Some(begun) = meter.next().await {
        let done = once(&client, &name, mode, &mut session, locking != Locking::Own, begun, &meter).await;
        if let Err(error) = done {
            // A session that is over is opened anew.
            session = None;
            meter.ended(begun, Err(error));
        }
    }
    if let Some(session) = session {
        let _ = session.close().await;
    }
}

async fn once(
    client: &Client,
    name: &str,
    mode: LockMode,
    session: &mut Option<Session>,
    wait_alone: bool,
    begun: Instant,
    meter: &Meter,
) -> Result<(), Error> {
    let session = match session {
        Some(session) => session,
        None => session.insert(client.open_session(SessionOptions::new().ttl(TTL)).await?),
    };
    let guard = client.lock(name).mode(mode).session(session).acquire().await?;
    if wait_alone {
        meter.arrived(begun);
        return guard.release().await;
    }
    guard.release().await?;
    meter.arrived(begun);
    Ok(())
}

/// Stands until it leads, and resigns.
pub async fn elect(client: Client, field: Field, meter: Meter) {
    while let Some(begun) = meter.next().await {
        let latch = client.latch(field.name("election")).ttl(TTL).start();
        let won = latch.wait_for_leadership().await;
        meter.ended(begun, won.map(drop));
        // What it can't give back expires.
        let _ = latch.close().await;
    }
}
