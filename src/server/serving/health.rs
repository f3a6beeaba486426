//! gRPC's health service: SERVING as long as this member knows a leader, itself or another, so that it can serve writes and
//! linearizable reads. Stale reads are answered without one.

use tokio::task::JoinHandle;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};

use crate::{raft::Node, stopping::Stopping};

/// The whole server, and each of its services, by the names under which health can be asked for.
const NAMES: [&str; 7] = [
    "",
    "ringfence.v1.Kv",
    "ringfence.v1.Session",
    "ringfence.v1.Lock",
    "ringfence.v1.Election",
    "ringfence.v1.Watch",
    "ringfence.v1.Cluster",
];

/// The service, and the task that reports to it until `stopping`.
pub fn service(node: Node, stopping: Stopping) -> (HealthServer<impl Health>, JoinHandle<()>) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let task = tokio::spawn(report(reporter, node, stopping));
    (service, task)
}

async fn report(reporter: HealthReporter, node: Node, stopping: Stopping) {
    let mut seen = node.leadership();
    while !stopping.is_stopping() {
        set(&reporter, seen.leader.is_some()).await;
        tokio::select! {
            biased;
            () = stopping.wait() => {}
            now = node.leadership_changed(&seen) => seen = now,
        }
    }
    set(&reporter, false).await;
    // The streams that watch health end with the reporter, so that they don't hold up the stop.
    for name in NAMES {
        let _ = reporter.clone().clear_service_status(name).await;
    }
}

async fn set(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}
