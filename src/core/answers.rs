//! Answers to the questions of [`crate::query`], except for ranges, which have their own file.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::check::{check_key, check_limit, check_name};
use crate::command::SessionId;
use crate::limits::{HISTORY_VERSIONS_MAX, RANGE_BYTES_MAX};
use crate::outcome::{Change, ClaimView};
use crate::query::{
    Changes, ChangesAnswer, ClaimByKey, HistoryAnswer, KeyHistory, Owner, OwnerAnswer, Query, Queue, QueueAnswer,
    QueueSummary, Queues, Session, SessionView, Sessions, Stats, StatsAnswer,
};
use crate::refusal::Refusal;
use crate::span::Interval;
use crate::state::State;

impl Query for KeyHistory {
    type Answer = HistoryAnswer;

    fn answer(&self, state: &State) -> Result<HistoryAnswer, Refusal> {
        check_key(&self.key)?;
        check_limit("versions", self.limit, HISTORY_VERSIONS_MAX)?;
        let mut answer = HistoryAnswer::default();
        let mut bytes = 0;
        for version in state.keyspace.versions(&self.key) {
            bytes += version.size();
            if answer.versions.len() == self.limit || bytes > RANGE_BYTES_MAX {
                answer.more = true;
                break;
            }
            answer.versions.push((version.view(true), version.is_deleted()));
        }
        Ok(answer)
    }
}

impl Query for Session {
    type Answer = SessionView;

    fn answer(&self, state: &State) -> Result<SessionView, Refusal> {
        let session = state.sessions.get(self.0).ok_or(Refusal::SessionUnknown(self.0))?;
        Ok(session_view(state, self.0, session))
    }
}

impl Query for Sessions {
    type Answer = Vec<SessionView>;

    fn answer(&self, state: &State) -> Result<Vec<SessionView>, Refusal> {
        let page = state.sessions.above(self.after).take(self.limit);
        Ok(page.map(|(id, session)| session_view(state, id, session)).collect())
    }
}

fn session_view(state: &State, id: SessionId, session: &crate::sessions::Session) -> SessionView {
    SessionView {
        id,
        owner: session.owner.to_string(),
        ttl_ms: session.ttl_ms,
        remaining_ms: session.deadline_ms.saturating_sub(state.clock_ms),
        opened_wall_ms: session.opened_wall_ms,
        keys: session.keys.iter().cloned().collect(),
    }
}

impl Query for Queue {
    type Answer = QueueAnswer;

    fn answer(&self, state: &State) -> Result<QueueAnswer, Refusal> {
        check_name(&self.name)?;
        let Some(queue) = state.queues.get(&self.name) else {
            return Ok(QueueAnswer::default());
        };
        let claim = |(token, _)| state.claim_view(&self.name, token);
        Ok(QueueAnswer {
            owners: queue.iter().take(queue.owners().min(self.limit)).filter_map(claim).collect(),
            waiters: queue.waiters().take(self.limit).filter_map(claim).collect(),
            owning: queue.owners() as u64,
            waiting: queue.waiting() as u64,
        })
    }
}

impl Query for Queues {
    type Answer = Vec<QueueSummary>;

    fn answer(&self, state: &State) -> Result<Vec<QueueSummary>, Refusal> {
        let names = Interval::prefix(&self.prefix);
        let start: Bound<&[u8]> =
            if self.after < self.prefix { Bound::Included(&self.prefix) } else { Bound::Excluded(&self.after) };
        // An empty `after` is below every name, and so is an empty prefix.
        let named = state.queues.from(start).take_while(|(name, _)| names.contains(name));
        let summary = |(name, queue): (&Bytes, &crate::queues::Queue)| {
            let (oldest, _) = queue.iter().next()?;
            Some(QueueSummary {
                name: name.clone(),
                owner: state.claim_view(name, oldest)?,
                owners: queue.owners() as u64,
                waiting: queue.waiting() as u64,
            })
        };
        Ok(named.filter_map(summary).take(self.limit).collect())
    }
}

impl Query for Owner {
    type Answer = OwnerAnswer;

    fn answer(&self, state: &State) -> Result<OwnerAnswer, Refusal> {
        check_name(&self.name)?;
        let queue = state.queues.get(&self.name);
        Ok(OwnerAnswer {
            owner: queue.is_some_and(|queue| queue.is_owner(self.token)),
            current: queue.map_or(0, |queue| queue.frontier()),
        })
    }
}

impl Query for ClaimByKey {
    type Answer = Option<ClaimView>;

    fn answer(&self, state: &State) -> Result<Option<ClaimView>, Refusal> {
        Ok(state.claim_of(&self.key).and_then(|(name, token)| state.claim_view(&name, token)))
    }
}

impl Query for Changes {
    type Answer = ChangesAnswer;

    fn answer(&self, state: &State) -> Result<ChangesAnswer, Refusal> {
        let keyspace = &state.keyspace;
        if self.from == 0 {
            return Err(Refusal::InvalidArgument("revisions begin at 1".to_owned()));
        }
        if self.from <= keyspace.compacted {
            return Err(Refusal::RevisionCompacted { requested: self.from, compacted: keyspace.compacted });
        }
        if self.from > keyspace.revision.saturating_add(1) {
            return Err(Refusal::RevisionFuture { requested: self.from, newest: keyspace.revision });
        }
        let mut bytes = 0;
        let mut answer = Vec::new();
        for change in keyspace.changes(self.from) {
            bytes += change_bytes(&change);
            answer.push(change);
            if bytes > self.bytes_max {
                break;
            }
        }
        Ok(answer)
    }
}

fn change_bytes(change: &Arc<Change>) -> usize {
    change.events.iter().map(|event| event.key.key.len() + event.key.value.len()).sum()
}

impl Query for Stats {
    type Answer = StatsAnswer;

    fn answer(&self, state: &State) -> Result<StatsAnswer, Refusal> {
        Ok(StatsAnswer {
            revision: state.keyspace.revision,
            compacted: state.keyspace.compacted,
            clock_ms: state.clock_ms,
            next_deadline_ms: state.sessions.next_deadline().map(|(deadline_ms, _)| deadline_ms),
            ttl_min_ms: state.sessions.ttl_ms_min(),
            keys: state.keyspace.len() as u64,
            sessions: state.sessions.len() as u64,
            queues: state.queues.len() as u64,
            bytes: state.keyspace.bytes,
            hash: state.hash,
            level: state.level,
        })
    }
}
