//! One entry while it is applied: what it has done so far, and the helpers that every command shares.
//!
//! All effects on the state go through here, so that each is in the outcome and in the running hash, and so that
//! keys, sessions and queues change together.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Command, Request, RequestId, Revision, SessionId, Token};
use crate::hash::{self, Digest};
use crate::keyspace::{Draft, Stored, Written};
use crate::limits::{DELETE_KEYS_MAX, EXPIRIES_PER_ENTRY_MAX};
use crate::outcome::{EventKind, Grant, Outcome, Reply};
use crate::refusal::Refusal;
use crate::retry::First;
use crate::state::State;

/// See the module.
pub(crate) struct Step<'a> {
    pub state: &'a mut State,
    pub wall_ms: u64,
    pub outcome: Outcome,
    /// Queues whose owners or whose owners' values changed.
    queues: BTreeSet<Bytes>,
    pub digest: Digest,
}

/// What each part of the digest says.
mod tag {
    pub const CLOCK: u8 = 1;
    pub const PUT: u8 = 2;
    pub const DELETE: u8 = 3;
    pub const GRANT: u8 = 4;
    pub const SESSION_END: u8 = 5;
    pub const REMEMBER: u8 = 6;
}

impl<'a> Step<'a> {
    pub fn new(state: &'a mut State, wall_ms: u64) -> Self {
        Self { state, wall_ms, outcome: Outcome::default(), queues: BTreeSet::new(), digest: Digest::default() }
    }

    /// Moves the clock, never back.
    pub fn advance(&mut self, clock_ms: u64) {
        self.state.clock_ms = self.state.clock_ms.max(clock_ms);
        self.digest.tag(tag::CLOCK).number(self.state.clock_ms);
    }

    /// Ends the sessions that are over, oldest deadline first. Stops at a number of sessions and of keys, so that a storm of
    /// expiries never stalls the log: the next entry goes on with it, and the leader sees in the next deadline that it must
    /// send one.
    pub fn expire(&mut self) {
        let (mut sessions, mut keys) = (0, 0);
        while let Some((deadline_ms, id)) = self.state.sessions.next_deadline() {
            if deadline_ms > self.state.clock_ms || sessions == EXPIRIES_PER_ENTRY_MAX || keys >= DELETE_KEYS_MAX {
                break;
            }
            sessions += 1;
            #[cfg(madsim)]
            let granted = self.outcome.granted.len();
            keys += self.end_session(id);
            self.outcome.expired.push(id);
            #[cfg(madsim)]
            if self.outcome.granted.len() > granted {
                ringfence_probes::hit(ringfence_probes::marks::WAITER_GRANTED_AFTER_EXPIRY);
            }
        }
    }

    /// Does one request and files its reply.
    pub fn request(&mut self, request: &Request) {
        let reply = match request.id {
            None => self.command(&request.command),
            Some(id) => self.once(id, &request.command),
        };
        self.outcome.replies.push(reply);
    }

    /// Does a command, unless it was done under this number before; then gives the first answer again.
    fn once(&mut self, id: RequestId, command: &Command) -> Result<Reply, Refusal> {
        let hash = hash::command(command);
        let session = self.state.sessions.alive(id.session, self.state.clock_ms)?;
        #[cfg(madsim)]
        if ringfence_probes::on(ringfence_probes::Bug::NoRetryTable) {
            return self.command(command);
        }
        if let Some(first) = session.retries.recall(id.sequence, hash)? {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::RETRY_REMEMBERED);
            return Result::clone(&first.result);
        }
        let result = self.command(command);
        // The command may have closed the session.
        if let Some(session) = self.state.sessions.get_mut(id.session) {
            session.retries.remember(id.sequence, First { command: hash, result: Arc::new(result.clone()) });
            self.digest.tag(tag::REMEMBER).number(id.session.0).number(id.sequence).number(hash).flag(result.is_ok());
        }
        result
    }

    fn command(&mut self, command: &Command) -> Result<Reply, Refusal> {
        command.check()?;
        match command {
            Command::Txn(txn) => self.txn(txn),
            Command::Compact { revision } => self.compact(*revision),
            Command::OpenSession { id, ttl_ms, owner } => self.open_session(*id, *ttl_ms, owner),
            Command::RenewSessions { ids } => Ok(self.renew_sessions(ids)),
            Command::CloseSession { id } => self.close_session(*id),
            Command::Claim(claim) => self.claim(claim),
            Command::Release { name, session, which } => self.release(name, *session, which),
            Command::ForceRelease { name, token } => self.force_release(name, *token),
            Command::Proclaim { name, session, token, value } => self.proclaim(name, *session, *token, value),
            Command::RaiseLevel { level } => Ok(self.raise_level(*level)),
        }
    }

    /// The outcome, once all is done.
    pub fn finish(self) -> Outcome {
        let Self { state, mut outcome, queues, digest, .. } = self;
        state.hash = digest.chain(state.hash);
        outcome.queues = queues.into_iter().collect();
        outcome
    }

    /// Begins a revision.
    pub fn draft(&self) -> Draft {
        self.state.keyspace.draft(self.wall_ms)
    }

    /// Writes a key and keeps the bonds to sessions right.
    pub fn put(&mut self, draft: &mut Draft, written: &Written<'_>) {
        let before = self.state.keyspace.get(written.key).cloned();
        self.put_over(draft, written, before.as_ref());
    }

    /// The same over the version that the key has, if it lives.
    pub fn put_over(&mut self, draft: &mut Draft, written: &Written<'_>, before: Option<&Stored>) {
        self.state.keyspace.put(draft, written, before);
        let bound = before.and_then(Stored::session);
        if bound != written.session {
            self.unbind(bound, written.key);
            if let Some(session) = written.session.and_then(|id| self.state.sessions.get_mut(id)) {
                // A copy: a slice of a message would keep the whole message in memory.
                session.keys.insert(Bytes::copy_from_slice(written.key));
            }
        }
    }

    /// Deletes a key and keeps the bonds to sessions right.
    pub fn delete(&mut self, draft: &mut Draft, key: &[u8]) -> Option<Stored> {
        let before = self.state.keyspace.delete(draft, key)?;
        self.unbind(before.session(), key);
        Some(before)
    }

    fn unbind(&mut self, session: Option<SessionId>, key: &[u8]) {
        if let Some(session) = session.and_then(|id| self.state.sessions.get_mut(id)) {
            session.keys.remove(key);
        }
    }

    /// Makes the revision, if anything was changed, and gives the newest revision.
    pub fn commit(&mut self, draft: Draft) -> Revision {
        if let Some(change) = self.state.keyspace.commit(draft) {
            for event in &change.events {
                let key = &event.key;
                let kind = if event.kind == EventKind::Put { tag::PUT } else { tag::DELETE };
                self.digest.tag(kind).number(key.mod_revision).bytes(&key.key).bytes(&key.value);
                self.digest.number(key.create_revision).number(key.version).session(key.session);
                self.digest.number(key.wall_ms).flag(key.claim);
            }
            self.outcome.changes.push(change);
        }
        self.state.keyspace.revision
    }

    /// Deletes claims, all of them in the draft's revision, and grants what others wait for.
    pub fn end_claims(&mut self, draft: &mut Draft, claims: &[(Bytes, Token)]) {
        let mut left = BTreeSet::new();
        for (name, token) in claims {
            let Some((place, owner)) = self.state.queues.leave(name, *token) else {
                continue;
            };
            self.delete(draft, &place.key);
            let ended = Grant { name: name.clone(), key: place.key.clone(), session: place.session, token: *token };
            self.outcome.ended.push(ended);
            if owner {
                self.queues.insert(name.clone());
            }
            left.insert(name);
        }
        for name in left {
            self.settle(name);
        }
    }

    /// Makes owners of all claims of a queue that now can be.
    pub fn settle(&mut self, name: &Bytes) {
        let tokens = self.state.queues.settle(name, self.wall_ms);
        if tokens.is_empty() {
            return;
        }
        self.queue_changed(name);
        let Some(queue) = self.state.queues.get(name) else {
            return;
        };
        for token in tokens {
            let Some(place) = queue.get(token) else {
                continue;
            };
            self.digest.tag(tag::GRANT).number(token).number(self.wall_ms);
            let granted = Grant { name: name.clone(), key: place.key.clone(), session: place.session, token };
            self.outcome.granted.push(granted);
        }
    }

    /// Notes that a queue's owners, or an owner's value, changed.
    pub fn queue_changed(&mut self, name: &Bytes) {
        if !self.queues.contains(name) {
            self.queues.insert(name.clone());
        }
    }

    /// Ends a session, deletes in one revision all that is bound to it, and gives how many keys that were.
    pub fn end_session(&mut self, id: SessionId) -> usize {
        let Some(session) = self.state.sessions.get(id) else {
            return 0;
        };
        let keys = session.keys.clone();
        #[cfg(madsim)]
        let keys = crate::mistakes::in_some_order(keys);
        let mut claims = Vec::new();
        let mut draft = self.draft();
        for key in &keys {
            match self.state.claim_of(key) {
                Some(claim) => claims.push(claim),
                None => {
                    self.delete(&mut draft, key);
                }
            }
        }
        self.end_claims(&mut draft, &claims);
        self.state.sessions.remove(id);
        self.digest.tag(tag::SESSION_END).number(id.0);
        self.commit(draft);
        keys.len()
    }
}
