//! A member's account of itself, as `Cluster.Status` shows it.

use ringfence_core::query::Stats;
use ringfence_proto::v1;
use tokio::time::Instant;

use crate::{
    raft::{Member, Node},
    replica::Replica,
};

/// What this member has to tell of itself now. `started` is when its process, or its simulated node, began.
pub fn account(node: &Node, replica: &Replica, started: Instant) -> v1::MemberStatus {
    let status = node.status();
    // Index and figures of one state, so that equal indexes mean equal hashes.
    let (applied, state) = replica.state();
    let stats = state.read(&Stats).unwrap_or_default();
    // A member that isn't added yet knows itself by its id alone.
    let own = node.members().into_iter().find(|member| member.id == status.id);
    let own = own.unwrap_or_else(|| Member { id: status.id, ..Member::default() });
    v1::MemberStatus {
        member: Some(member(own)),
        reachable: true,
        error: String::new(),
        leader: status.leader.unwrap_or(0),
        term: status.term,
        last_log_index: status.last_log,
        committed_index: status.committed,
        applied_index: applied,
        purged_index: status.purged,
        snapshot_index: status.snapshot,
        revision: stats.revision,
        compacted_revision: stats.compacted,
        keys: stats.keys,
        sessions: stats.sessions,
        queues: stats.queues,
        state_bytes: stats.bytes,
        disk_bytes: status.disk_bytes,
        disk_free_bytes: status.disk_free_bytes,
        disk_full: status.disk_full,
        disk_stalled: status.disk_stalled,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        state_hash: stats.hash,
        level: node.level(),
        cluster_level: stats.level,
    }
}

/// A member, as protobuf.
pub fn member(member: Member) -> v1::Member {
    v1::Member {
        node_id: member.id,
        client_address: member.client_address,
        peer_address: member.peer_address,
        voter: member.voter,
    }
}
