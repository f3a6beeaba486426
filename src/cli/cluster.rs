//! The members: status, members, add, promote, remove, transfer-leader.

use ringfence_client::{ClusterStatus, Member, MemberStatus, Members};

use crate::args::cluster::ClusterCommand;
use crate::context::{Context, Done};
use crate::exit;
use crate::output::{Object, Table, aligned, duration, escape, size};

/// Does one of the commands.
pub async fn run(context: &Context, command: ClusterCommand) -> Done {
    let cluster = context.client.cluster();
    let members = match command {
        ClusterCommand::Status => {
            let status = cluster.status(false).await?;
            context.output.either(|| status_object(&status), || status_lines(&status))?;
            return Ok(exit::DONE);
        }
        ClusterCommand::TransferLeader { id } => {
            let leader = cluster.transfer_leader(id).await?;
            context.output.either(|| Object::new().field("leader", leader), || format!("node {leader} leads"))?;
            return Ok(exit::DONE);
        }
        ClusterCommand::Members { read } => context.reading(read).cluster().members().await?,
        ClusterCommand::Add { id, client, peer } => cluster.add_learner(id, &client, &peer).await?,
        ClusterCommand::Promote { id, force } => cluster.promote(id, force).await?,
        ClusterCommand::Remove { id, force } => cluster.remove(id, force).await?,
    };
    print_members(context, &members)?;
    Ok(exit::DONE)
}

fn member_fields(member: &Member) -> Object {
    Object::new()
        .field("id", member.id)
        .field("client_address", member.client_address.as_str())
        .field("peer_address", member.peer_address.as_str())
        .field("voter", member.voter)
}

fn print_members(context: &Context, members: &Members) -> Result<(), crate::failure::Failure> {
    let leads = |member: &Member| members.leader == Some(member.id);
    let rows: Vec<(Member, bool)> = members.members.iter().map(|member| (member.clone(), leads(member))).collect();
    let table = Table {
        header: &["ID", "ROLE", "CLIENT ADDRESS", "PEER ADDRESS"],
        row: |(member, leads): &(Member, bool)| {
            vec![
                member.id.to_string(),
                role(*leads, member.voter).to_owned(),
                escape(member.client_address.as_bytes()),
                escape(member.peer_address.as_bytes()),
            ]
        },
    };
    let object = |(member, leads): &(Member, bool)| member_fields(member).field("leads", *leads);
    context.output.rows(&rows, object, &table, "no members")
}

fn role(leads: bool, voter: bool) -> &'static str {
    match (leads, voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    }
}

fn status_object(status: &ClusterStatus) -> Object {
    Object::new()
        .field("leader", status.leader)
        .field("term", status.term)
        .field("revision", status.revision)
        .field("cluster_id", format!("{:016x}", status.cluster_id))
        .field("answered_by", status.answered_by)
        .list("members", status.members.iter().map(member_object))
}

fn member_object(member: &MemberStatus) -> Object {
    let object = member_fields(&member.member).field("reachable", member.reachable);
    if !member.reachable {
        return object.field("error", member.error.as_str());
    }
    object
        .field("leader", member.leader)
        .field("term", member.term)
        .field("last_log_index", member.last_log_index)
        .field("committed_index", member.committed_index)
        .field("applied_index", member.applied_index)
        .field("purged_index", member.purged_index)
        .field("snapshot_index", member.snapshot_index)
        .field("revision", member.revision)
        .field("compacted_revision", member.compacted_revision)
        .field("keys", member.keys)
        .field("sessions", member.sessions)
        .field("queues", member.queues)
        .field("state_bytes", member.state_bytes)
        .field("disk_bytes", member.disk_bytes)
        .field("disk_free_bytes", member.disk_free_bytes)
        .field("disk_full", member.disk_full)
        .field("disk_stalled", member.disk_stalled)
        .field("version", member.version.as_str())
        .field("uptime_ms", u64::try_from(member.uptime.as_millis()).unwrap_or(u64::MAX))
        .field("state_hash", format!("{:016x}", member.state_hash))
        .field("level", member.level)
        .field("cluster_level", member.cluster_level)
}

/// How many members answer.
pub fn reachable(status: &ClusterStatus) -> String {
    let reachable = status.members.iter().filter(|member| member.reachable).count();
    format!("{reachable} of {} members reachable", status.members.len())
}

/// The titles of [`member_row`].
const STATUS_HEADER: &[&str] =
    &["ID", "ROLE", "ADDRESS", "TERM", "APPLIED", "REVISION", "KEYS", "SESSIONS", "DISK", "VERSION", "UPTIME"];

fn status_lines(status: &ClusterStatus) -> String {
    let leader = status.leader.map_or_else(|| "no leader".to_owned(), |id| format!("leader {id}"));
    let mut lines = format!(
        "cluster {:016x}: {leader}, term {}, revision {}, {}\n",
        status.cluster_id,
        status.term,
        status.revision,
        reachable(status)
    );
    let rows = status.members.iter().map(|member| member_row(member, status.leader));
    lines.push_str(&aligned(STATUS_HEADER, rows));
    for member in status.members.iter().filter(|member| !member.reachable) {
        lines.push_str(&format!("node {}: {}\n", member.member.id, escape(member.error.as_bytes())));
    }
    for member in status.members.iter().filter(|member| member.disk_full) {
        let free = size(member.disk_free_bytes);
        lines.push_str(&format!(
            "node {}: the disk is full ({free} free): it takes no writes until there is room\n",
            member.member.id
        ));
    }
    for member in status.members.iter().filter(|member| member.disk_stalled) {
        lines.push_str(&format!("node {}: the disk stalls: it doesn't lead until that is over\n", member.member.id));
    }
    lines.trim_end().to_owned()
}

fn member_row(member: &MemberStatus, leader: Option<u64>) -> Vec<String> {
    let id = member.member.id;
    let address = escape(member.member.client_address.as_bytes());
    if !member.reachable {
        let mut row = vec![id.to_string(), "unreachable".to_owned(), address];
        row.resize(STATUS_HEADER.len(), "-".to_owned());
        return row;
    }
    let uptime = duration(member.uptime.as_secs().saturating_mul(1000));
    vec![
        id.to_string(),
        role(leader == Some(id), member.member.voter).to_owned(),
        address,
        member.term.to_string(),
        format!("{}/{}", member.applied_index, member.committed_index),
        member.revision.to_string(),
        member.keys.to_string(),
        member.sessions.to_string(),
        size(member.disk_bytes),
        member.version.clone(),
        uptime,
    ]
}
