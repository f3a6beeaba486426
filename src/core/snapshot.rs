//! The state as a sequence of records, and back.
//!
//! The order is part of the format: one [`Header`], then the versions that history begins with in the order of their
//! keys, then all later versions in the order in which they were made (this is how the order of the events within a
//! revision survives), then each session followed by its remembered replies in the order of their sequence, then the
//! claims in the order of names and tokens, then one [`Trailer`]. Everything else (indexes, owners, figures) follows from
//! these.

use std::ops::Bound;

use bytes::Bytes;

pub use crate::restore::Damaged;

use crate::command::{Mode, Revision, SessionId, Token};
use crate::outcome::Reply;
use crate::refusal::Refusal;
use crate::state::State;
use crate::{queues, sessions};

/// Version of the sequence of records.
pub const FORMAT: u32 = 1;

/// One record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first one.
    Header(Header),
    /// One version of one key.
    Version(Version),
    /// One session.
    Session(Session),
    /// One reply that the session before it remembers for retries.
    Remembered(Remembered),
    /// One claim in a queue. Its key's version carries the value.
    Claim(Claim),
    /// The last one: without it the sequence was cut off.
    Trailer(Trailer),
}

/// The state's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The newest revision.
    pub revision: Revision,
    /// Changes up to here are gone.
    pub compacted: Revision,
    /// The state's clock, milliseconds.
    pub clock_ms: u64,
    /// The last number that a sequential put was given, 0 for none.
    pub sequential: u64,
    /// Running hash over everything applied.
    pub hash: u64,
    /// The cluster's [level](crate::levels).
    pub level: u32,
}

/// One version of one key, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The key.
    pub key: Bytes,
    /// The value; empty for a tombstone.
    pub value: Bytes,
    /// Revision of creation; 0 for a tombstone.
    pub create_revision: Revision,
    /// Revision of this version.
    pub mod_revision: Revision,
    /// 1 for the version that created the key; 0 for a tombstone.
    pub version: u64,
    /// The session it is bound to.
    pub session: Option<SessionId>,
    /// Leader's wall clock at this version, milliseconds since 1970.
    pub wall_ms: u64,
    /// The key is a claim.
    pub claim: bool,
    /// The key was deleted in this revision.
    pub deleted: bool,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// For people.
    pub owner: String,
    /// Its TTL.
    pub ttl_ms: u64,
    /// When it is over, by the state's clock.
    pub deadline_ms: u64,
    /// Leader's wall clock at opening, milliseconds since 1970.
    pub opened_wall_ms: u64,
    /// The highest sequence number that it has used, 0 for none.
    pub sequence: u64,
}

/// A reply that is given again if the request comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The session.
    pub session: SessionId,
    /// The request's sequence number.
    pub sequence: u64,
    /// Hash of the command that was sent under this number.
    pub command: u64,
    /// The first answer.
    pub result: Result<Reply, Refusal>,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the queue.
    pub name: Bytes,
    /// The claim's session.
    pub session: SessionId,
    /// The claim's suffix.
    pub suffix: Bytes,
    /// The fencing token.
    pub token: Token,
    /// How it shares the name.
    pub mode: Mode,
    /// The last attempt at waiting for it.
    pub attempt: u64,
    /// Leader's wall clock at claiming.
    pub claimed_wall_ms: u64,
    /// Leader's wall clock when it became an owner, 0 while it waits.
    pub granted_wall_ms: u64,
}

/// The end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// How many records stand before this one, the header included.
    pub records: u64,
}

impl State {
    /// All of the state, as records in the order that the module describes.
    pub fn records(&self) -> Box<dyn Iterator<Item = Record> + Send + '_> {
        let header = Record::Header(Header {
            format: FORMAT,
            revision: self.keyspace.revision,
            compacted: self.keyspace.compacted,
            clock_ms: self.clock_ms,
            sequential: self.sequential,
            hash: self.hash,
            level: self.level,
        });
        let versions = self.keyspace.base().chain(self.keyspace.later()).map(Record::Version);
        let sessions = self.sessions.iter().flat_map(|(id, session)| session_records(id, session));
        let claims = self.queues.from(Bound::Unbounded).flat_map(|(name, queue)| claim_records(name, queue));
        #[cfg(madsim)]
        let claims = crate::mistakes::forgotten(ringfence_probes::Bug::QueueMissingInSnapshot, claims);
        let mut records = 0;
        let counted = std::iter::once(header).chain(versions).chain(sessions).chain(claims).map(Some);
        // The end marker is asked for last, when all others were counted.
        Box::new(counted.chain(std::iter::once(None)).map(move |record| match record {
            Some(record) => {
                records += 1;
                record
            }
            None => Record::Trailer(Trailer { records }),
        }))
    }
}

fn session_records(id: SessionId, session: &sessions::Session) -> impl Iterator<Item = Record> + Send + '_ {
    let record = Record::Session(Session {
        id,
        owner: session.owner.to_string(),
        ttl_ms: session.ttl_ms,
        deadline_ms: session.deadline_ms,
        opened_wall_ms: session.opened_wall_ms,
        sequence: session.retries.highest,
    });
    let remembered = session.retries.iter().map(move |(sequence, first)| {
        let result = Result::clone(&first.result);
        Record::Remembered(Remembered { session: id, sequence, command: first.command, result })
    });
    #[cfg(madsim)]
    let remembered = crate::mistakes::forgotten(ringfence_probes::Bug::RetriesMissingInSnapshot, remembered);
    std::iter::once(record).chain(remembered)
}

fn claim_records<'a>(name: &'a Bytes, queue: &'a queues::Queue) -> impl Iterator<Item = Record> + Send + 'a {
    queue.iter().map(move |(token, place)| {
        Record::Claim(Claim {
            name: name.clone(),
            session: place.session,
            suffix: place.suffix.clone(),
            token,
            mode: place.mode,
            attempt: place.attempt,
            claimed_wall_ms: place.claimed_wall_ms,
            granted_wall_ms: place.granted_wall_ms,
        })
    })
}
