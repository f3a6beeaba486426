//! The small HTTP side: `/livez` and `/readyz` for whatever watches over processes, `/metrics` in Prometheus' text format.
//!
//! It only tells; nothing can be changed by it.

use std::{fmt::Write, io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use ringfence_proto::v1::MemberStatus;
use tokio::{net::TcpListener, task::JoinHandle};

/// Tells how this member is.
pub type Account = Arc<dyn Fn() -> MemberStatus + Send + Sync>;

/// Opens the port, and serves it until the task is aborted.
///
/// # Errors
/// What the system says: in use, not allowed, no such address.
pub async fn serve(listen: SocketAddr, account: Account) -> io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(listen).await?;
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(account);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the HTTP side has ended");
        }
    }))
}

/// The process runs. One that can't go on ends by itself.
async fn livez() -> &'static str {
    "ok\n"
}

/// Everything can be served: a leader is known.
async fn readyz(State(account): State<Account>) -> impl IntoResponse {
    match account().leader {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "no leader is known\n"),
        _ => (StatusCode::OK, "ok\n"),
    }
}

async fn metrics(State(account): State<Account>) -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4")], text(&account()))
}

/// All figures. Prometheus' text format, one gauge or counter a block.
fn text(status: &MemberStatus) -> String {
    let id = status.member.as_ref().map_or(0, |member| member.node_id);
    let leads = u64::from(id != 0 && status.leader == id);
    let figures = [
        ("leader", "gauge", "Node id of the leader, 0 while none is known.", status.leader),
        ("is_leader", "gauge", "1 while this member leads.", leads),
        ("raft_term", "counter", "Raft's term.", status.term),
        ("raft_last_log_index", "gauge", "Index of the last log entry on disk.", status.last_log_index),
        ("raft_committed_index", "counter", "Index of the last entry known to be committed.", status.committed_index),
        ("raft_applied_index", "counter", "Index of the last entry that was applied.", status.applied_index),
        ("raft_purged_index", "counter", "Index of the last entry that was purged.", status.purged_index),
        ("raft_snapshot_index", "counter", "Index of the last entry in the newest snapshot.", status.snapshot_index),
        ("revision", "counter", "The newest revision.", status.revision),
        ("compacted_revision", "counter", "History up to here is gone.", status.compacted_revision),
        ("keys", "gauge", "Live keys, claims included.", status.keys),
        ("sessions", "gauge", "Sessions.", status.sessions),
        ("queues", "gauge", "Locks and elections that somebody claims.", status.queues),
        ("state_bytes", "gauge", "Bytes of keys and values, all versions kept.", status.state_bytes),
        ("disk_bytes", "gauge", "Bytes on disk, of log and snapshots.", status.disk_bytes),
        ("disk_free_bytes", "gauge", "Bytes free on the disk.", status.disk_free_bytes),
        (
            "disk_full",
            "gauge",
            "1 while the disk is full and this member takes no writes.",
            u64::from(status.disk_full),
        ),
        (
            "disk_stalled",
            "gauge",
            "1 while the disk stalls, and a moment longer: this member doesn't lead.",
            u64::from(status.disk_stalled),
        ),
        ("uptime_milliseconds", "counter", "Time since the server was started.", status.uptime_ms),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in figures {
        // Writing to a string can't fail.
        let _ =
            write!(text, "# HELP ringfence_{name} {help}\n# TYPE ringfence_{name} {kind}\nringfence_{name} {value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_help_type_and_value_each() {
        let text = text(&MemberStatus { leader: 3, revision: 7, ..MemberStatus::default() });
        assert!(text.contains("# TYPE ringfence_revision counter\nringfence_revision 7\n"), "{text}");
        assert!(text.contains("\nringfence_is_leader 0\n"), "{text}");
        assert_eq!(text.lines().count() % 3, 0);
    }
}
