//! What sessions and operators do: open, renew, close, compact.

use std::sync::Arc;

use imbl::OrdSet;

use crate::check::check_limit;
use crate::command::{Revision, SessionId};
use crate::limits::SESSIONS_MAX;
use crate::outcome::Reply;
use crate::refusal::Refusal;
use crate::retry::Retries;
use crate::sessions::Session;
use crate::step::Step;

/// What each part of the digest says, beside those of [`Step`] itself.
mod tag {
    pub const OPEN: u8 = 20;
    pub const RENEW: u8 = 21;
    pub const COMPACT: u8 = 22;
}

impl Step<'_> {
    /// A session with this id is found, if it lives and was opened alike: that is a retry. It is renewed then, since its
    /// client counts from the moment at which it sent the last one.
    pub fn open_session(&mut self, id: SessionId, ttl_ms: u64, owner: &str) -> Result<Reply, Refusal> {
        let clock_ms = self.state.clock_ms;
        if let Some(session) = self.state.sessions.get(id) {
            if session.ttl_ms != ttl_ms || *session.owner != *owner {
                return Err(Refusal::SessionExists(id));
            }
            if self.renew(id).is_none() {
                return Err(Refusal::SessionExpired(id));
            }
            return Ok(Reply::SessionOpened { id, ttl_ms });
        }
        check_limit("sessions", self.state.sessions.len() + 1, SESSIONS_MAX)?;
        let session = Session {
            owner: Arc::from(owner),
            ttl_ms,
            deadline_ms: clock_ms.saturating_add(ttl_ms),
            opened_wall_ms: self.wall_ms,
            keys: OrdSet::new(),
            retries: Retries::default(),
        };
        self.state.sessions.insert(id, session);
        self.digest.tag(tag::OPEN).number(id.0).number(ttl_ms).bytes(owner.as_bytes());
        Ok(Reply::SessionOpened { id, ttl_ms })
    }

    pub fn renew_sessions(&mut self, ids: &[SessionId]) -> Reply {
        Reply::SessionsRenewed(ids.iter().map(|id| self.renew(*id)).collect())
    }

    fn renew(&mut self, id: SessionId) -> Option<u64> {
        let ttl_ms = self.state.sessions.renew(id, self.state.clock_ms);
        #[cfg(madsim)]
        if ttl_ms.is_none() {
            ringfence_probes::hit(ringfence_probes::marks::RENEWAL_AFTER_EXPIRY);
        }
        let ttl_ms = ttl_ms?;
        #[cfg(madsim)]
        ringfence_probes::renewals::note(id.0);
        self.digest.tag(tag::RENEW).number(id.0);
        Some(ttl_ms)
    }

    /// Also closes one that is over and not yet removed: to whoever asks it is the same.
    pub fn close_session(&mut self, id: SessionId) -> Result<Reply, Refusal> {
        if self.state.sessions.get(id).is_none() {
            return Err(Refusal::SessionUnknown(id));
        }
        Ok(Reply::SessionClosed { deleted: self.end_session(id) as u64 })
    }

    pub fn compact(&mut self, revision: Revision) -> Result<Reply, Refusal> {
        let keyspace = &mut self.state.keyspace;
        if revision <= keyspace.compacted {
            return Err(Refusal::RevisionCompacted { requested: revision, compacted: keyspace.compacted });
        }
        if revision > keyspace.revision {
            return Err(Refusal::RevisionFuture { requested: revision, newest: keyspace.revision });
        }
        keyspace.compact(revision);
        self.digest.tag(tag::COMPACT).number(revision);
        Ok(Reply::Compacted)
    }
}
