//! Workloads on sessions.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use ringfence_bench::workload::{CALLS_AT_ONCE, TTL};
use ringfence_client::{Client, Session, SessionOptions};
use tokio::time::Instant;

use super::{Failure, Meter, Plan, Progress, Report, Workload, drive};

/// Between two looks at a session that renews itself.
const LOOK: Duration = Duration::from_secs(1);

/// Opens a session for each client, has them renewed, and closes them.
pub async fn run(
    plan: &Plan,
    workload: Workload,
    client: impl Fn(usize) -> Client,
    show: impl FnMut(&Progress),
) -> Result<Report, Failure> {
    let open = |number| {
        let client = client(number);
        async move { client.open_session(SessionOptions::new().ttl(TTL)).await }
    };
    let sessions: Vec<Session> = stream::iter(0..plan.clients).map(open).buffered(CALLS_AT_ONCE).try_collect().await?;
    let worker = |number: usize, meter| {
        let session = sessions[number].clone();
        async move {
            match workload {
                Workload::Hold => hold(&session, number, &meter).await,
                _ => renew(&session, &meter).await,
            }
        }
    };
    // Who only looks isn't slowed down.
    let rate = plan.rate.filter(|_| workload == Workload::Renew);
    let report = drive(&Plan { rate, ..plan.clone() }, worker, show).await;
    // One that can't be closed, or was lost, is told by the report, or expires.
    stream::iter(&sessions).for_each_concurrent(CALLS_AT_ONCE, async |session| drop(session.close().await)).await;
    Ok(report)
}

async fn renew(session: &Session, meter: &Meter) {
    while let Some(begun) = meter.next().await {
        let done = session.renew().await;
        let lost = done.is_err();
        meter.ended(begun, done);
        if lost {
            return;
        }
    }
}

/// Looks now and then, whatever the rate: one timer for each client, so that 100 000 of them leave the processor to the cluster.
async fn hold(session: &Session, number: usize, meter: &Meter) {
    // Not all look at the same time.
    let mut look = Instant::now() + LOOK.mul_f64((number % 1000) as f64 / 1000.0);
    loop {
        tokio::time::sleep_until(look).await;
        let Some(now) = meter.next().await else { return };
        if !session.is_valid() {
            let how = session.lost().await;
            return meter.ended(now, Err(format!("a session is over: {how:?}")));
        }
        meter.lasted(age(session));
        look += LOOK;
    }
}

/// How long ago the last renewal was sent that was acknowledged: what is gone of the lease, which is the TTL less 1 %.
fn age(session: &Session) -> Duration {
    session.ttl().mul_f64(0.99).saturating_sub(session.remaining())
}
