//! Raft's own words: places in the log, votes, members, records of the log.

use std::collections::{BTreeMap, BTreeSet};

use openraft::EntryPayload;
use prost::Message;
use ringfence_proto::storage as pb;

use super::DecodeError;
use crate::raft::types::{Addresses, LeaderId, LogEntry, LogId, Membership, Proposal, StoredMembership, Vote};

/// A place in the log as a message.
pub fn log_id_to(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

/// A place in the log from a message.
pub fn log_id_from(message: &pb::LogId) -> LogId {
    LogId { leader_id: LeaderId { term: message.term, node_id: message.node }, index: message.index }
}

/// A vote as a message.
pub fn vote_to(vote: &Vote) -> pb::Vote {
    pb::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

/// A vote from a message.
///
/// # Errors
/// If it isn't there.
pub fn vote_from(message: Option<&pb::Vote>) -> Result<Vote, DecodeError> {
    let message = message.ok_or(DecodeError::Missing("vote"))?;
    Ok(if message.committed {
        Vote::new_committed(message.term, message.node)
    } else {
        Vote::new(message.term, message.node)
    })
}

/// Who belongs to the cluster, as a message.
pub fn membership_to(membership: &Membership) -> pb::Membership {
    let voters = |config: &BTreeSet<u64>| pb::Voters { ids: config.iter().copied().collect() };
    let member = |(id, addresses): (&u64, &Addresses)| pb::Member {
        id: *id,
        client_address: addresses.client.clone(),
        peer_address: addresses.peer.clone(),
    };
    pb::Membership {
        configs: membership.get_joint_config().iter().map(voters).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

/// Who belongs to the cluster, from a message.
///
/// # Errors
/// If a voter isn't a member.
pub fn membership_from(message: pb::Membership) -> Result<Membership, DecodeError> {
    let configs: Vec<BTreeSet<u64>> =
        message.configs.into_iter().map(|voters| voters.ids.into_iter().collect()).collect();
    let members = message
        .members
        .into_iter()
        .map(|member| (member.id, Addresses { client: member.client_address, peer: member.peer_address }))
        .collect::<BTreeMap<_, _>>();
    if configs.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, members).map_err(|_| DecodeError::Missing("a voter among the members"))
}

/// A membership and its place, as a message.
pub fn stored_membership_to(membership: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: membership.log_id().as_ref().map(log_id_to),
        membership: Some(membership_to(membership.membership())),
    }
}

/// A membership and its place, from a message.
///
/// # Errors
/// If it isn't one.
pub fn stored_membership_from(message: pb::StoredMembership) -> Result<StoredMembership, DecodeError> {
    let membership = membership_from(message.membership.ok_or(DecodeError::Missing("membership"))?)?;
    Ok(StoredMembership::new(message.log_id.as_ref().map(log_id_from), membership))
}

/// An entry of the log as a message.
pub fn record_to(entry: &LogEntry) -> pb::LogRecord {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::log_record::Payload::Blank(pb::Blank {}),
        EntryPayload::Normal(proposal) => pb::log_record::Payload::Entry(proposal.bytes.clone()),
        EntryPayload::Membership(membership) => pb::log_record::Payload::Membership(membership_to(membership)),
    };
    pb::LogRecord { log_id: Some(log_id_to(&entry.log_id)), payload: Some(payload) }
}

/// An entry of the log as it stands on disk.
pub fn record_bytes(entry: &LogEntry) -> Vec<u8> {
    record_to(entry).encode_to_vec()
}

/// An entry of the log from a message.
///
/// # Errors
/// If it isn't one.
pub fn record_from(message: pb::LogRecord) -> Result<LogEntry, DecodeError> {
    let log_id = log_id_from(&message.log_id.ok_or(DecodeError::Missing("log id"))?);
    let payload = match message.payload.ok_or(DecodeError::Missing("payload"))? {
        pb::log_record::Payload::Blank(_) => EntryPayload::Blank,
        // A copy: the message may be one of many in a buffer, and the log's cache keeps this for long.
        pb::log_record::Payload::Entry(bytes) => EntryPayload::Normal(Proposal::from_bytes(super::own(&bytes))?),
        pb::log_record::Payload::Membership(membership) => EntryPayload::Membership(membership_from(membership)?),
    };
    Ok(LogEntry { log_id, payload })
}
