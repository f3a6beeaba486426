//! A state from the records of a snapshot.
//!
//! The records come from a file or from a peer: nothing is taken on trust. Each is checked where it is put in, and the
//! whole against all invariants at the end.

use std::sync::Arc;

use crate::claims::claim_key;
use crate::command::{Command, Mode, Revision, SessionId};
use crate::keyspace::{Keyspace, Stored, name as readable};
use crate::queues::Place;
use crate::retry::{First, Retries};
use crate::sessions;
use crate::snapshot::{Claim, FORMAT, Header, Record, Remembered, Session, Version};
use crate::state::State;

/// A snapshot that can't be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot is damaged: {0}")]
pub struct Damaged(pub String);

/// Revisions stay below this, so that the next one always is a number, in signed formats too.
pub(crate) const REVISION_MAX: Revision = i64::MAX as u64 - (1 << 32);

impl State {
    /// The state that these records say: the same hash, the same answer to every question, and the same outcomes from
    /// here on as the state that gave them.
    ///
    /// # Errors
    /// [`Damaged`] if they break an invariant, are incomplete, or have a newer format.
    pub fn restore(records: impl IntoIterator<Item = Record>) -> Result<State, Damaged> {
        let mut restoring = Restoring::default();
        let mut records = records.into_iter();
        for record in records.by_ref() {
            if let Record::Trailer(trailer) = &record {
                if trailer.records != restoring.records {
                    return Err(Damaged(format!("{} records of {}", restoring.records, trailer.records)));
                }
                if records.next().is_some() {
                    return Err(Damaged("records follow its end".to_owned()));
                }
                return restoring.finish().map_err(Damaged);
            }
            restoring.add(record).map_err(Damaged)?;
        }
        Err(Damaged("its end is missing".to_owned()))
    }
}

/// A state while its records come in.
#[derive(Default)]
struct Restoring {
    state: State,
    records: u64,
    /// Versions of one revision that is not put in yet.
    revision: Revision,
    versions: Vec<Stored>,
    /// Kinds of records come one after the other.
    kind: u8,
}

impl Restoring {
    fn add(&mut self, record: Record) -> Result<(), String> {
        let kind = match record {
            Record::Header(_) => 0,
            Record::Version(_) => 1,
            Record::Session(_) | Record::Remembered(_) => 2,
            Record::Claim(_) => 3,
            Record::Trailer(_) => 4,
        };
        if (kind == 0) != (self.records == 0) || kind < self.kind {
            return Err(format!("record {} is out of order", self.records));
        }
        self.kind = kind;
        self.records += 1;
        match record {
            Record::Header(header) => self.header(&header),
            Record::Version(version) => self.version(version),
            Record::Session(session) => self.session(session),
            Record::Remembered(remembered) => self.remembered(remembered),
            Record::Claim(claim) => self.claim(&claim),
            Record::Trailer(_) => Ok(()),
        }
    }

    fn header(&mut self, header: &Header) -> Result<(), String> {
        let Header { format, revision, compacted, clock_ms, sequential, hash, level } = *header;
        if format != FORMAT {
            return Err(format!("its format is {format}, and {FORMAT} is the one known here"));
        }
        if revision > REVISION_MAX {
            return Err(format!("revision {revision} is out of range"));
        }
        let keyspace = Keyspace::at(revision, compacted);
        self.state = State { clock_ms, sequential, hash, level, keyspace, ..State::default() };
        Ok(())
    }

    fn version(&mut self, version: Version) -> Result<(), String> {
        if version.mod_revision != self.revision {
            self.put_versions()?;
            self.revision = version.mod_revision;
        }
        if let Some(session) = version.session.filter(|_| version.deleted) {
            return Err(format!("a deleted key is bound to session {session}"));
        }
        self.versions.push(Stored::of(&version));
        Ok(())
    }

    fn put_versions(&mut self) -> Result<(), String> {
        if self.versions.is_empty() {
            return Ok(());
        }
        self.state.keyspace.restore(self.revision, std::mem::take(&mut self.versions))
    }

    fn session(&mut self, session: Session) -> Result<(), String> {
        let Session { id, owner, ttl_ms, deadline_ms, opened_wall_ms, sequence } = session;
        let open = Command::OpenSession { id, ttl_ms, owner: owner.clone() };
        open.check().map_err(|refusal| format!("session {id}: {refusal}"))?;
        if self.state.sessions.get(id).is_some() {
            return Err(format!("session {id} is there twice"));
        }
        let session = sessions::Session {
            owner: Arc::from(owner),
            ttl_ms,
            deadline_ms,
            opened_wall_ms,
            keys: imbl::OrdSet::new(),
            retries: Retries::up_to(sequence),
        };
        self.state.sessions.insert(id, session);
        Ok(())
    }

    fn remembered(&mut self, remembered: Remembered) -> Result<(), String> {
        let Remembered { session: id, sequence, command, result } = remembered;
        let session = self.state.sessions.get_mut(id).ok_or_else(|| unknown(id))?;
        session.retries.restore(sequence, First { command, result: Arc::new(result) })
    }

    fn claim(&mut self, claim: &Claim) -> Result<(), String> {
        let Claim { name, session, suffix, token, mode, attempt, claimed_wall_ms, granted_wall_ms } = claim;
        let wrong = |what: &str| Err(format!("claim {token} of {}: {what}", readable(name)));
        let joined = Command::Claim(crate::command::Claim {
            name: name.clone(),
            session: *session,
            suffix: suffix.clone(),
            mode: *mode,
            value: bytes::Bytes::new(),
            attempt: *attempt,
            only_if_free: false,
        });
        joined.check().map_err(|refusal| format!("claim {token}: {refusal}"))?;
        self.put_versions()?;
        let key = claim_key(name, *session, suffix);
        let Some(version) = self.state.keyspace.get(&key) else {
            return wrong("it has no key");
        };
        if !version.is_claim() || version.create_revision() != *token || version.session() != Some(*session) {
            return wrong("its key says otherwise");
        }
        if let (Mode::Semaphore(permits), Some(queue)) = (mode, self.state.queues.get(name))
            && queue.permits().is_some_and(|expected| expected != *permits)
        {
            return wrong("its queue has other permits");
        }
        let place = Place {
            session: *session,
            suffix: key.slice(key.len() - suffix.len()..),
            mode: *mode,
            attempt: *attempt,
            claimed_wall_ms: *claimed_wall_ms,
            granted_wall_ms: *granted_wall_ms,
            key,
        };
        let name = place.key.slice(..name.len());
        self.state.queues.restore(&name, *token, place)
    }

    /// Binds keys to their sessions, and checks the whole.
    fn finish(mut self) -> Result<State, String> {
        self.put_versions()?;
        let state = &mut self.state;
        for version in state.keyspace.live() {
            if let Some(id) = version.session() {
                let session = state.sessions.get_mut(id).ok_or_else(|| unknown(id))?;
                session.keys.insert(version.own_key());
            }
        }
        state.verify_invariants()?;
        #[cfg(madsim)]
        state.keyspace.forget_revision_by_mistake();
        Ok(self.state)
    }
}

fn unknown(id: SessionId) -> String {
    format!("session {id} is not among its sessions")
}
