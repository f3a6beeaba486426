//! Messages between members and openraft's types.

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderResponse, VoteResponse,
};
use ringfence_proto::{peer as pb, storage};

use crate::raft::{
    Admin, AdminDone, AdminError, Member,
    codec::{
        DecodeError,
        raft::{log_id_from, log_id_to, record_from, record_to, vote_from, vote_to},
    },
    types::{LogEntry, TypeConfig},
};

/// Entries for a follower.
pub fn append_request_to(request: &AppendEntriesRequest<TypeConfig>, sender: Option<pb::Sender>) -> pb::AppendRequest {
    pb::AppendRequest {
        sender,
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to),
        records: request.entries.iter().map(record_to).collect(),
        committed: request.leader_commit.as_ref().map(log_id_to),
    }
}

/// Entries from a leader.
///
/// # Errors
/// If the message isn't that, or the entries don't follow on the previous one without a hole.
pub fn append_request_from(message: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
    let previous = message.previous.as_ref().map(log_id_from);
    let entries = message.records.into_iter().map(record_from).collect::<Result<Vec<LogEntry>, _>>()?;
    let first = previous.map_or(0, |previous| previous.index.saturating_add(1));
    if (first..).zip(&entries).any(|(expected, entry)| entry.log_id.index != expected) {
        return Err(DecodeError::Range("index of an entry, which doesn't follow on the one before it,"));
    }
    Ok(AppendEntriesRequest {
        vote: vote_from(message.vote.as_ref())?,
        prev_log_id: previous,
        entries,
        leader_commit: message.committed.as_ref().map(log_id_from),
    })
}

/// The answer to one request.
pub fn append_response_to(response: &AppendEntriesResponse<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Result as Message;
    let result = match response {
        AppendEntriesResponse::Success => Message::Success(storage::Blank {}),
        AppendEntriesResponse::PartialSuccess(last) => {
            Message::Partial(pb::Partial { last: last.as_ref().map(log_id_to) })
        }
        AppendEntriesResponse::Conflict => Message::Conflict(storage::LogId::default()),
        AppendEntriesResponse::HigherVote(vote) => Message::HigherVote(vote_to(vote)),
    };
    pb::AppendResponse { result: Some(result) }
}

/// The answer to one request.
///
/// # Errors
/// If the message isn't that.
pub fn append_response_from(message: &pb::AppendResponse) -> Result<AppendEntriesResponse<TypeConfig>, DecodeError> {
    use pb::append_response::Result as Message;
    Ok(match message.result.as_ref().ok_or(DecodeError::Missing("answer to entries"))? {
        Message::Success(_) => AppendEntriesResponse::Success,
        Message::Partial(partial) => AppendEntriesResponse::PartialSuccess(partial.last.as_ref().map(log_id_from)),
        Message::Conflict(_) => AppendEntriesResponse::Conflict,
        Message::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_from(Some(vote))?),
    })
}

/// The answer to one request of a stream.
pub fn stream_response_to(response: &StreamAppendResult<TypeConfig>) -> pb::AppendResponse {
    use pb::append_response::Result as Message;
    let result = match response {
        Ok(last) => Message::Partial(pb::Partial { last: last.as_ref().map(log_id_to) }),
        Err(StreamAppendError::Conflict(at)) => Message::Conflict(log_id_to(at)),
        Err(StreamAppendError::HigherVote(vote)) => Message::HigherVote(vote_to(vote)),
    };
    pb::AppendResponse { result: Some(result) }
}

/// The answer to one request of a stream.
///
/// # Errors
/// If the message isn't that.
pub fn stream_response_from(message: &pb::AppendResponse) -> Result<StreamAppendResult<TypeConfig>, DecodeError> {
    use pb::append_response::Result as Message;
    Ok(match message.result.as_ref().ok_or(DecodeError::Missing("answer to entries"))? {
        Message::Partial(partial) => Ok(partial.last.as_ref().map(log_id_from)),
        Message::Conflict(at) => Err(StreamAppendError::Conflict(log_id_from(at))),
        Message::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from(Some(vote))?)),
        Message::Success(_) => return Err(DecodeError::Missing("place in the answer to entries")),
    })
}

/// A vote that was asked for.
pub fn vote_response_to(response: &VoteResponse<TypeConfig>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id_to),
    }
}

/// A vote that was asked for.
///
/// # Errors
/// If the message isn't that.
pub fn vote_response_from(message: &pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, DecodeError> {
    let vote = vote_from(message.vote.as_ref())?;
    Ok(VoteResponse::new(vote, message.last.as_ref().map(log_id_from), message.granted))
}

/// Whether a member stands for election as asked.
pub fn transfer_response_to(response: TransferLeaderResponse<TypeConfig>) -> pb::TransferLeaderResponse {
    use pb::transfer_leader_response::Result as Message;
    let result = match response {
        Ok(()) => Message::Accepted(storage::Blank {}),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Message::VoteChanged(pb::VoteChanged { expected: Some(vote_to(&expected)), actual: Some(vote_to(&actual)) })
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Message::NotFlushed(pb::NotFlushed {
            expected: expected.as_ref().map(log_id_to),
            actual: actual.as_ref().map(log_id_to),
        }),
    };
    pb::TransferLeaderResponse { result: Some(result) }
}

/// Whether a member stands for election as asked.
///
/// # Errors
/// If the message isn't that.
pub fn transfer_response_from(
    message: pb::TransferLeaderResponse,
) -> Result<TransferLeaderResponse<TypeConfig>, DecodeError> {
    use pb::transfer_leader_response::Result as Message;
    Ok(match message.result.ok_or(DecodeError::Missing("answer to a transfer"))? {
        Message::Accepted(_) => Ok(()),
        Message::VoteChanged(changed) => Err(TransferLeaderError::VoteChanged {
            expected: vote_from(changed.expected.as_ref())?,
            actual: vote_from(changed.actual.as_ref())?,
        }),
        Message::NotFlushed(not) => Err(TransferLeaderError::LogNotFlushed {
            expected: not.expected.as_ref().map(log_id_from),
            actual: not.actual.as_ref().map(log_id_from),
        }),
    })
}

/// A change of the members.
pub fn admin_to(sender: Option<pb::Sender>, admin: Admin) -> pb::AdminRequest {
    use pb::admin_request::Admin as Message;
    let force_remove = matches!(admin, Admin::Remove { force: true, .. });
    let admin = match admin {
        Admin::AddLearner(member) => Message::AddLearner(storage::Member {
            id: member.id,
            client_address: member.client_address,
            peer_address: member.peer_address,
        }),
        Admin::Promote { id, force } => Message::Promote(pb::Promote { id, force }),
        Admin::Remove { id, .. } => Message::Remove(id),
        Admin::TransferLeader { id } => Message::TransferLeader(id),
    };
    pb::AdminRequest { sender, admin: Some(admin), force_remove }
}

/// A change of the members.
///
/// # Errors
/// If the message isn't one.
pub fn admin_from(message: pb::AdminRequest) -> Result<Admin, DecodeError> {
    use pb::admin_request::Admin as Message;
    Ok(match message.admin.ok_or(DecodeError::Missing("change of the members"))? {
        Message::AddLearner(member) => Admin::AddLearner(Member {
            id: member.id,
            client_address: member.client_address,
            peer_address: member.peer_address,
            voter: false,
        }),
        Message::Promote(promote) => Admin::Promote { id: promote.id, force: promote.force },
        Message::Remove(id) => Admin::Remove { id, force: message.force_remove },
        Message::TransferLeader(id) => Admin::TransferLeader { id },
    })
}

/// How a change of the members ended.
pub fn admin_response_to(result: Result<AdminDone, AdminError>) -> pb::AdminResponse {
    use pb::admin_response::Result as Message;
    let leader = result.as_ref().ok().and_then(|done| done.leader).unwrap_or(0);
    let result = match result {
        Ok(AdminDone { .. }) => Message::Done(storage::Blank {}),
        Err(AdminError::NotLeader { leader }) => Message::NotLeader(not_leader_to(leader)),
        Err(AdminError::MemberExists(id)) => Message::MemberExists(id),
        Err(AdminError::MemberUnknown(id)) => Message::MemberUnknown(id),
        Err(AdminError::InvalidAddress(why)) => Message::InvalidAddress(why),
        Err(AdminError::LearnerLags { id, behind, limit, silent }) => {
            Message::LearnerLags(pb::LearnerLags { id, behind, limit, silent })
        }
        Err(AdminError::QuorumAtRisk { id, reachable, needed, silent }) => {
            Message::QuorumAtRisk(pb::QuorumAtRisk { id, reachable, needed, silent })
        }
        Err(AdminError::LastVoter(id)) => Message::LastVoter(id),
        Err(AdminError::NotAVoter(id)) => Message::NotAVoter(id),
        Err(AdminError::Busy) => Message::Busy(storage::Blank {}),
        Err(AdminError::Unknown(why) | AdminError::Unreachable(why)) => Message::Unknown(why),
        Err(AdminError::Stopped) => Message::Stopped(storage::Blank {}),
    };
    pb::AdminResponse { result: Some(result), leader }
}

/// How a change of the members ended.
///
/// # Errors
/// As it ended; [`AdminError::Unknown`] if the message doesn't say.
pub fn admin_response_from(message: pb::AdminResponse) -> Result<AdminDone, AdminError> {
    use pb::admin_response::Result as Message;
    match message.result {
        Some(Message::Done(_)) => Ok(AdminDone { leader: (message.leader != 0).then_some(message.leader) }),
        Some(Message::NotLeader(not)) => Err(AdminError::NotLeader { leader: not_leader_from(&not) }),
        Some(Message::MemberExists(id)) => Err(AdminError::MemberExists(id)),
        Some(Message::MemberUnknown(id)) => Err(AdminError::MemberUnknown(id)),
        Some(Message::InvalidAddress(why)) => Err(AdminError::InvalidAddress(why)),
        Some(Message::LearnerLags(lags)) => {
            Err(AdminError::LearnerLags { id: lags.id, behind: lags.behind, limit: lags.limit, silent: lags.silent })
        }
        Some(Message::QuorumAtRisk(risk)) => Err(AdminError::QuorumAtRisk {
            id: risk.id,
            reachable: risk.reachable,
            needed: risk.needed,
            silent: risk.silent,
        }),
        Some(Message::LastVoter(id)) => Err(AdminError::LastVoter(id)),
        Some(Message::NotAVoter(id)) => Err(AdminError::NotAVoter(id)),
        Some(Message::Busy(_)) => Err(AdminError::Busy),
        Some(Message::Unknown(why)) => Err(AdminError::Unknown(why)),
        Some(Message::Stopped(_)) => Err(AdminError::Stopped),
        None => Err(AdminError::Unknown("the answer is of a newer version".to_owned())),
    }
}

/// Who leads, from one that doesn't.
pub fn not_leader_to(leader: Option<u64>) -> pb::NotLeader {
    pb::NotLeader { leader: leader.unwrap_or(0) }
}

/// Who leads, from one that doesn't.
pub fn not_leader_from(message: &pb::NotLeader) -> Option<u64> {
    (message.leader != 0).then_some(message.leader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::{LeaderId, LogId, Payload, Vote};

    fn entry(index: u64) -> LogEntry {
        LogEntry { log_id: LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }, payload: Payload::Blank }
    }

    fn sent(previous: Option<u64>, indexes: &[u64]) -> Result<usize, DecodeError> {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(1, 1),
            prev_log_id: previous.map(|index| entry(index).log_id),
            entries: indexes.iter().copied().map(entry).collect(),
            leader_commit: None,
        };
        append_request_from(append_request_to(&request, None)).map(|request| request.entries.len())
    }

    #[test]
    fn entries_that_would_leave_a_hole_are_refused() {
        for (previous, indexes) in [(None, &[][..]), (None, &[0, 1]), (Some(7), &[]), (Some(7), &[8, 9, 10])] {
            assert_eq!(sent(previous, indexes).expect("a whole request"), indexes.len());
        }
        for (previous, indexes) in [(None, &[1][..]), (Some(7), &[9]), (Some(7), &[8, 10]), (Some(7), &[7, 8])] {
            sent(previous, indexes).expect_err("a hole, or an overlap");
        }
    }

    #[test]
    fn a_change_of_the_members_and_its_refusal_go_through() {
        for force in [false, true] {
            for admin in [Admin::Remove { id: 3, force }, Admin::Promote { id: 3, force }] {
                assert_eq!(admin_from(admin_to(None, admin.clone())).ok(), Some(admin));
            }
        }
        let risk = AdminError::QuorumAtRisk { id: 3, reachable: 1, needed: 2, silent: vec![2, 5] };
        let lags = AdminError::LearnerLags { id: 3, behind: 7, limit: 5, silent: true };
        for refusal in [risk, lags] {
            assert_eq!(admin_response_from(admin_response_to(Err(refusal.clone()))), Err(refusal));
        }
    }
}
