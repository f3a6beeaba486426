//! The sessions, and when each is over.
//!
//! Invariants:
//!
//! - Every session stands once in the order of deadlines, and its TTL once among the TTLs.
//! - A session's keys are exactly the live keys that are bound to it, claims included.
//! - Deadlines move only forward, and are at most a TTL ahead of the clock: it never goes back, and a TTL never changes.

use std::sync::Arc;

use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use crate::command::SessionId;
use crate::refusal::Refusal;
use crate::retry::Retries;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    by_id: OrdMap<SessionId, Arc<Session>>,
    deadlines: OrdSet<(u64, SessionId)>,
    /// How many sessions have each TTL.
    ttls: OrdMap<u64, u64>,
}

/// One session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub owner: Arc<str>,
    pub ttl_ms: u64,
    pub deadline_ms: u64,
    pub opened_wall_ms: u64,
    /// Live keys bound to it.
    pub keys: OrdSet<Bytes>,
    pub retries: Retries,
}

impl Sessions {
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id).map(|session| &**session)
    }

    /// For changing keys and retries; deadlines are moved by [`Self::renew`].
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }

    /// A session that may act at this time.
    ///
    /// # Errors
    /// [`Refusal::SessionUnknown`], [`Refusal::SessionExpired`].
    pub fn alive(&self, id: SessionId, clock_ms: u64) -> Result<&Session, Refusal> {
        let session = self.get(id).ok_or(Refusal::SessionUnknown(id))?;
        if session.deadline_ms <= clock_ms {
            return Err(Refusal::SessionExpired(id));
        }
        Ok(session)
    }

    pub fn insert(&mut self, id: SessionId, session: Session) {
        debug_assert!(self.get(id).is_none(), "an id is used once");
        self.deadlines.insert((session.deadline_ms, id));
        *self.ttls.entry(session.ttl_ms).or_insert(0) += 1;
        self.by_id.insert(id, Arc::new(session));
    }

    /// Takes a session out. Its keys must be gone.
    pub fn remove(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else {
            return;
        };
        debug_assert!(session.keys.is_empty(), "keys go before their session");
        self.deadlines.remove(&(session.deadline_ms, id));
        let same = self.ttls.get(&session.ttl_ms).copied().unwrap_or(0);
        if same > 1 {
            self.ttls.insert(session.ttl_ms, same - 1);
        } else {
            self.ttls.remove(&session.ttl_ms);
        }
    }

    /// Moves the deadline of a living session to the clock plus its TTL, and gives the TTL.
    pub fn renew(&mut self, id: SessionId, clock_ms: u64) -> Option<u64> {
        let session = self.alive(id, clock_ms).ok()?;
        let (ttl_ms, before_ms) = (session.ttl_ms, session.deadline_ms);
        let deadline_ms = clock_ms.saturating_add(ttl_ms);
        debug_assert!(deadline_ms >= before_ms, "deadlines move only forward");
        if deadline_ms != before_ms {
            self.deadlines.remove(&(before_ms, id));
            self.deadlines.insert((deadline_ms, id));
            self.get_mut(id)?.deadline_ms = deadline_ms;
        }
        Some(ttl_ms)
    }

    /// The session that is over first, with its deadline; of equal deadlines the lower id.
    pub fn next_deadline(&self) -> Option<(u64, SessionId)> {
        self.deadlines.get_min().copied()
    }

    pub fn ttl_ms_min(&self) -> Option<u64> {
        self.ttls.get_min().map(|(ttl_ms, _)| *ttl_ms)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// In the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> + Send + '_ {
        self.by_id.iter().map(|(id, session)| (*id, &**session))
    }

    /// Those with greater ids, in order.
    pub fn above(&self, after: u64) -> impl Iterator<Item = (SessionId, &Session)> {
        let from = after.checked_add(1).map(SessionId);
        from.into_iter().flat_map(|from| self.by_id.range(from..)).map(|(id, session)| (*id, &**session))
    }

    /// Checks the invariants of the module, except for the keys, which the state compares with the keyspace. O(n log n).
    ///
    /// # Errors
    /// Which one is broken.
    pub fn verify(&self, clock_ms: u64) -> Result<(), String> {
        let mut ttls = OrdMap::<u64, u64>::new();
        for (id, session) in self.iter() {
            if !self.deadlines.contains(&(session.deadline_ms, id)) {
                return Err(format!("session {id} is missing among the deadlines"));
            }
            if session.deadline_ms > clock_ms.saturating_add(session.ttl_ms) {
                return Err(format!("session {id} would live longer than its TTL"));
            }
            session.retries.verify().map_err(|broken| format!("session {id}: {broken}"))?;
            *ttls.entry(session.ttl_ms).or_insert(0) += 1;
        }
        if self.deadlines.len() != self.len() || ttls != self.ttls {
            return Err("deadlines or TTLs don't match the sessions".to_owned());
        }
        Ok(())
    }
}
