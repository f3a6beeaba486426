//! The one primitive: claims on names. Locks, elections and semaphores are all made of it.
//!
//! A claim is a key `<name>/<session, sixteen hex digits>`, with `-<suffix>` where one was given, and a place in the queue of
//! its name. The revision that creates the key is the fencing token. Being granted makes no revision: it follows from
//! revisions that were made.

use bytes::{BufMut, Bytes, BytesMut};

use crate::check::check_limit;
use crate::command::{ATTEMPT_DRAWN, Claim, Mode, SessionId, Token, Which};
use crate::keyspace::{Written, name as readable};
use crate::limits::SESSION_KEYS_MAX;
use crate::outcome::{ClaimView, Reply};
use crate::queues::Place;
use crate::refusal::Refusal;
use crate::state::State;
use crate::step::Step;

/// What each part of the digest says, beside those of [`Step`] itself.
mod tag {
    pub const JOIN: u8 = 30;
    pub const ATTEMPT: u8 = 31;
}

impl Step<'_> {
    pub fn claim(&mut self, claim: &Claim) -> Result<Reply, Refusal> {
        let session = self.state.sessions.alive(claim.session, self.state.clock_ms)?;
        let keys = session.keys.len();
        let key = claim_key(&claim.name, claim.session, &claim.suffix);
        if let Some(version) = self.state.keyspace.get(&key) {
            if !version.is_claim() {
                return Err(Refusal::KeyNotClaim(readable(&key)));
            }
            let token = version.create_revision();
            return self.claim_again(claim, token);
        }
        self.admit(claim)?;
        check_limit("session keys", keys + 1, SESSION_KEYS_MAX)?;
        let token = self.join(claim, &key);
        self.claimed(&claim.name, token)
    }

    /// The session's claim exists: it keeps its place.
    fn claim_again(&mut self, claim: &Claim, token: Token) -> Result<Reply, Refusal> {
        let queue = self.state.queues.get(&claim.name).ok_or(Refusal::TokenStale { token })?;
        let place = queue.get(token).ok_or(Refusal::TokenStale { token })?;
        if place.mode != claim.mode {
            return Err(Refusal::ModeMismatch);
        }
        if claim.only_if_free && !queue.is_owner(token) {
            let (in_front, place) = queue.iter().next().unwrap_or((token, place));
            return Err(Refusal::LockHeld { owner: place.session, token: in_front });
        }
        // A request that was overtaken, by one that its client sent later elsewhere, must not make itself the one that is withdrawn.
        if claim.attempt > place.attempt || claim.attempt >= ATTEMPT_DRAWN {
            self.state.queues.set_attempt(&claim.name, token, claim.attempt);
            self.digest.tag(tag::ATTEMPT).number(token).number(claim.attempt);
        }
        self.claimed(&claim.name, token)
    }

    fn claimed(&self, name: &Bytes, token: Token) -> Result<Reply, Refusal> {
        self.state.claim_view(name, token).map(Reply::Claimed).ok_or(Refusal::TokenStale { token })
    }

    /// Whether the queue takes a new claim.
    fn admit(&self, claim: &Claim) -> Result<(), Refusal> {
        let Some(queue) = self.state.queues.get(&claim.name) else {
            return Ok(());
        };
        if let Mode::Semaphore(actual) = claim.mode
            && let Some(expected) = queue.permits().filter(|expected| *expected != actual)
        {
            return Err(Refusal::PermitsMismatch { expected, actual });
        }
        match queue.obstacle(claim.mode).filter(|_| claim.only_if_free) {
            Some((token, place)) => Err(Refusal::LockHeld { owner: place.session, token }),
            None => Ok(()),
        }
    }

    fn join(&mut self, claim: &Claim, key: &Bytes) -> Token {
        let mut draft = self.draft();
        let token = draft.revision;
        let written = Written { key, value: &claim.value, session: Some(claim.session), claim: true };
        self.put(&mut draft, &written);
        let name = key.slice(..claim.name.len());
        let place = Place {
            key: key.clone(),
            session: claim.session,
            suffix: key.slice(key.len() - claim.suffix.len()..),
            mode: claim.mode,
            attempt: claim.attempt,
            claimed_wall_ms: self.wall_ms,
            granted_wall_ms: 0,
        };
        self.state.queues.join(&name, token, place);
        self.digest.tag(tag::JOIN).number(token).mode(claim.mode).number(claim.attempt);
        self.commit(draft);
        self.settle(&name);
        token
    }

    pub fn release(&mut self, name: &Bytes, session: SessionId, which: &Which) -> Result<Reply, Refusal> {
        #[cfg(madsim)]
        if let Some(successor) = self.successor_by_mistake(name, which) {
            return self.force_release(name, successor);
        }
        let token = match which {
            Which::Token(token) => *token,
            Which::Suffix(suffix) | Which::Attempt { suffix, .. } => {
                let key = claim_key(name, session, suffix);
                let claim = self.state.keyspace.get(&key).filter(|version| version.is_claim());
                claim.ok_or(Refusal::TokenStale { token: 0 })?.create_revision()
            }
        };
        #[cfg(madsim)]
        if self.state.place(name, token).is_none() {
            ringfence_probes::hit(ringfence_probes::marks::RELEASED_TOO_LATE);
        }
        let place = self.state.place(name, token).ok_or(Refusal::TokenStale { token })?;
        if place.session != session {
            return Err(Refusal::NotOwner("the claim is another session's".to_owned()));
        }
        if matches!(which, Which::Attempt { attempt, .. } if *attempt != place.attempt) {
            return Err(Refusal::TokenStale { token: 0 });
        }
        // A mistake: only who owns it is looked for.
        #[cfg(madsim)]
        if ringfence_probes::on(ringfence_probes::Bug::CancelledWaiterStays) && !self.state.is_owner(name, token) {
            return Err(Refusal::TokenStale { token: 0 });
        }
        self.force_release(name, token)
    }

    pub fn force_release(&mut self, name: &Bytes, token: Token) -> Result<Reply, Refusal> {
        let view = self.state.claim_view(name, token).ok_or(Refusal::TokenStale { token })?;
        let mut draft = self.draft();
        self.end_claims(&mut draft, &[(view.name.clone(), token)]);
        self.commit(draft);
        Ok(Reply::Released(view))
    }

    pub fn proclaim(
        &mut self,
        name: &Bytes,
        session: SessionId,
        token: Token,
        value: &Bytes,
    ) -> Result<Reply, Refusal> {
        let place = self.state.place(name, token).ok_or(Refusal::TokenStale { token })?;
        if place.session != session {
            return Err(Refusal::NotOwner("the claim is another session's".to_owned()));
        }
        self.state.sessions.alive(session, self.state.clock_ms)?;
        if !self.state.is_owner(name, token) {
            return Err(Refusal::NotOwner("the claim still waits".to_owned()));
        }
        let key = place.key.clone();
        let mut draft = self.draft();
        self.put(&mut draft, &Written { key: &key, value, session: Some(session), claim: true });
        self.commit(draft);
        self.queue_changed(&key.slice(..name.len()));
        Ok(Reply::Proclaimed)
    }
}

impl State {
    pub(crate) fn place(&self, name: &[u8], token: Token) -> Option<&Place> {
        self.queues.get(name)?.get(token)
    }

    /// This token is a current owner of this name.
    pub(crate) fn is_owner(&self, name: &[u8], token: Token) -> bool {
        self.queues.get(name).is_some_and(|queue| queue.is_owner(token))
    }

    /// The name and the token of the claim that this key is.
    pub(crate) fn claim_of(&self, key: &[u8]) -> Option<(Bytes, Token)> {
        let version = self.keyspace.get(key).filter(|version| version.is_claim())?;
        let slash = key.iter().rposition(|&byte| byte == b'/')?;
        Some((Bytes::copy_from_slice(&key[..slash]), version.create_revision()))
    }

    /// A claim as readers see it.
    pub(crate) fn claim_view(&self, name: &[u8], token: Token) -> Option<ClaimView> {
        let queue = self.queues.get(name)?;
        let place = queue.get(token)?;
        let version = self.keyspace.get(&place.key)?;
        let session = self.sessions.get(place.session)?;
        Some(ClaimView {
            name: place.key.slice(..name.len()),
            key: place.key.clone(),
            session: place.session,
            session_owner: session.owner.to_string(),
            suffix: place.suffix.clone(),
            token,
            mode: place.mode,
            owner: queue.is_owner(token),
            value: version.view(true).value,
            claimed_wall_ms: place.claimed_wall_ms,
            granted_wall_ms: place.granted_wall_ms,
            mod_revision: version.mod_revision(),
        })
    }
}

/// The key of a claim.
pub(crate) fn claim_key(name: &[u8], session: SessionId, suffix: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(name.len() + suffix.len() + 18);
    key.put_slice(name);
    key.put_slice(format!("/{session}").as_bytes());
    if !suffix.is_empty() {
        key.put_u8(b'-');
        key.put_slice(suffix);
    }
    key.freeze()
}
