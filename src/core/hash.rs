//! Hashes that are the same on every machine and in every build: all input is put into one canonical form of bytes
//! first (numbers little-endian in eight bytes, byte strings after their length), since what `std::hash` feeds depends on
//! the platform and on the compiler.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::command::{Claim, Command, Compare, Mode, Op, Put, Relation, SessionId, Span, Target, Txn, Which};
use crate::query::{Range, Select};

/// Byte strings above this are hashed first, so that the canonical form of an entry stays small.
const INLINE_BYTES_MAX: usize = 64;

/// The canonical form of what is hashed, while it is gathered.
#[derive(Debug, Default)]
pub(crate) struct Digest(Vec<u8>);

impl Digest {
    /// What kind of thing follows.
    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.tag(u8::from(flag))
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        if bytes.len() <= INLINE_BYTES_MAX {
            self.0.extend_from_slice(bytes);
            self
        } else {
            self.number(xxh3_64(bytes))
        }
    }

    pub fn session(&mut self, session: Option<SessionId>) -> &mut Self {
        self.number(session.map_or(0, |id| id.0))
    }

    pub fn mode(&mut self, mode: Mode) -> &mut Self {
        match mode {
            Mode::Exclusive => self.tag(0),
            Mode::Shared => self.tag(1),
            Mode::Semaphore(permits) => self.tag(2).number(u64::from(permits)),
        }
    }

    /// The hash of all that was gathered, chained onto an earlier one.
    pub fn chain(&self, earlier: u64) -> u64 {
        xxh3_64_with_seed(&self.0, earlier)
    }
}

/// Hash of a command: tells a retry from another request under the same number.
pub(crate) fn command(command: &Command) -> u64 {
    let mut digest = Digest::default();
    feed_command(&mut digest, command);
    digest.chain(0)
}

fn feed_command(digest: &mut Digest, command: &Command) {
    match command {
        Command::Txn(txn) => feed_txn(digest.tag(0), txn),
        Command::Compact { revision } => {
            digest.tag(1).number(*revision);
        }
        Command::OpenSession { id, ttl_ms, owner } => {
            digest.tag(2).number(id.0).number(*ttl_ms).bytes(owner.as_bytes());
        }
        Command::RenewSessions { ids } => {
            digest.tag(3).number(ids.len() as u64);
            for id in ids {
                digest.number(id.0);
            }
        }
        Command::CloseSession { id } => {
            digest.tag(4).number(id.0);
        }
        Command::Claim(claim) => feed_claim(digest.tag(5), claim),
        Command::Release { name, session, which } => {
            digest.tag(6).bytes(name).number(session.0);
            match which {
                Which::Token(token) => digest.tag(0).number(*token),
                Which::Suffix(suffix) => digest.tag(1).bytes(suffix),
                Which::Attempt { suffix, attempt } => digest.tag(2).bytes(suffix).number(*attempt),
            };
        }
        Command::ForceRelease { name, token } => {
            digest.tag(7).bytes(name).number(*token);
        }
        Command::Proclaim { name, session, token, value } => {
            digest.tag(8).bytes(name).number(session.0).number(*token).bytes(value);
        }
        Command::RaiseLevel { level } => {
            digest.tag(9).number(u64::from(*level));
        }
    }
}

fn feed_claim(digest: &mut Digest, claim: &Claim) {
    let Claim { name, session, suffix, mode, value, attempt, only_if_free } = claim;
    digest.bytes(name).number(session.0).bytes(suffix).mode(*mode).bytes(value).number(*attempt).flag(*only_if_free);
}

fn feed_txn(digest: &mut Digest, txn: &Txn) {
    let Txn { compare, then, otherwise } = txn;
    digest.number(compare.len() as u64);
    for compare in compare {
        feed_compare(digest, compare);
    }
    for list in [then, otherwise] {
        digest.number(list.len() as u64);
        for op in list {
            feed_op(digest, op);
        }
    }
}

fn feed_compare(digest: &mut Digest, compare: &Compare) {
    let relation = match compare.relation {
        Relation::Equal => 0,
        Relation::NotEqual => 1,
        Relation::Less => 2,
        Relation::Greater => 3,
    };
    digest.bytes(&compare.key).tag(relation);
    match &compare.target {
        Target::Value(value) => digest.tag(0).bytes(value),
        Target::CreateRevision(revision) => digest.tag(1).number(*revision),
        Target::ModRevision(revision) => digest.tag(2).number(*revision),
        Target::Version(version) => digest.tag(3).number(*version),
        Target::Session(session) => digest.tag(4).number(*session),
        Target::Holds(token) => digest.tag(5).number(*token),
    };
}

fn feed_op(digest: &mut Digest, op: &Op) {
    match op {
        Op::Put(Put { key, value, session, sequential, prev }) => {
            digest.tag(0).bytes(key).bytes(value).session(*session).flag(*sequential).flag(*prev);
        }
        Op::Delete { span, prev } => feed_span(digest.tag(1).flag(*prev), span),
        Op::Range(Range { select, limit, keys_only, count_only, revision, descending }) => {
            digest.tag(2).number(*limit as u64).number(*revision);
            digest.flag(*keys_only).flag(*count_only).flag(*descending);
            match select {
                Select::Span(span) => feed_span(digest.tag(0), span),
                Select::Children(path) => {
                    digest.tag(1).bytes(path);
                }
            }
        }
    }
}

fn feed_span(digest: &mut Digest, span: &Span) {
    match span {
        Span::Key(key) => digest.tag(0).bytes(key),
        Span::Between { start, end } => digest.tag(1).bytes(start).bytes(end),
        Span::Prefix(prefix) => digest.tag(2).bytes(prefix),
    };
}
