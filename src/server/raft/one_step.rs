//! The log's entry as the simulation has it: openraft's own, but for one mistake that can be switched on. A change of the voters then takes effect in one
//! step, without a time in which both the old and the new ones must agree.

use std::fmt;

use openraft::entry::{RaftEntry, RaftPayload};
use ringfence_probes::{Bug, on};

use super::types::{LeaderId, LogId, Membership, Payload};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub log_id: LogId,
    /// What it holds.
    pub payload: Payload,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.log_id, self.payload)
    }
}

impl RaftEntry for Entry {
    type CommittedLeaderId = LeaderId;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        let payload = match payload {
            Payload::Membership(joint) if on(Bug::VoterSwappedInOneStep) => Payload::Membership(goal(&joint)),
            payload => payload,
        };
        Self { log_id, payload }
    }

    fn log_id_parts(&self) -> (&LeaderId, u64) {
        (&self.log_id.leader_id, self.log_id.index)
    }

    fn set_log_id(&mut self, new: LogId) {
        self.log_id = new;
    }

    fn get_membership(&self) -> Option<Membership> {
        self.payload.get_membership()
    }
}

/// The last of its configurations alone.
fn goal(joint: &Membership) -> Membership {
    let last: Vec<_> = joint.get_joint_config().last().cloned().into_iter().collect();
    let members =
        joint.nodes().map(|(id, addresses)| (*id, addresses.clone())).collect::<std::collections::BTreeMap<_, _>>();
    Membership::new(last, members).unwrap_or_else(|_| joint.clone())
}
