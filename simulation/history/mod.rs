//! What happened in a world, for the checkers: what clients asked and were answered, what watchers saw, what replicas applied, who led,
//! what stood in the logs, and which faults there were.
//!
//! All moments are true time: nanoseconds since the world began, whatever the nodes' own clocks say. Nothing in here knows
//! madsim, so that a checker is tested with histories written by hand.

use std::{collections::BTreeMap, fmt, str::FromStr};

mod conditions;

pub use conditions::{Changed, Condition, Machine};
pub mod recorder;

pub use recorder::{OpenCall, OpenWatch, Recorder};

/// Nanoseconds of true time since the world began.
pub type Time = u64;
/// A server's id.
pub type Server = u64;
/// A leadership as one number that grows: raft's term, and whom it elected. openraft's votes are ordered by both, so that a term may elect a
/// second time, with a greater node; what Raft promises of a term is promised of this.
#[must_use]
pub fn term(raft: u64, elected: Server) -> u64 {
    raft << 8 | elected & 0xff
}

/// A leadership in words.
#[must_use]
pub fn say_term(term: u64) -> String {
    format!("{}-{}", term >> 8, term & 0xff)
}

/// A client's number, from 1.
pub type ClientId = u32;

/// How fresh a read was asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Linearizable.
    Linearizable,
    /// Whatever the member has, at least up to this revision (0: anything).
    Stale {
        /// The revision.
        min_revision: u64,
    },
}

/// How a claim shares its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// With other readers.
    Shared,
    /// With at most so many at once.
    Permits(u32),
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Exclusive => f.write_str("exclusive"),
            Mode::Shared => f.write_str("shared"),
            Mode::Permits(permits) => write!(f, "permits {permits}"),
        }
    }
}

/// What [`Mode`] is shown as.
impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("permits ").map(str::parse)) {
            ("exclusive", _) => Ok(Mode::Exclusive),
            ("shared", _) => Ok(Mode::Shared),
            (_, Some(Ok(permits))) => Ok(Mode::Permits(permits)),
            _ => Err(format!("`{text}` is no mode")),
        }
    }
}

/// Something a client asked for. Values of writes are unique in a world, so that each can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The session whose retries are recognised, if the write was made within one; else 0.
        session: u64,
    },
    /// Writes a key if its value is this one (`None`: if there is none). Done as a transaction.
    Swap {
        /// The key.
        key: String,
        /// The value that must be there.
        expected: Option<String>,
        /// The new value.
        value: String,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: String,
    },
    /// Writes several keys in one transaction.
    PutAll {
        /// Keys and values.
        pairs: Vec<(String, String)>,
    },
    /// Writes a key if the token is a current owner's.
    FencedPut {
        /// The lock.
        lock: String,
        /// The token.
        token: u64,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Reads a key.
    Get {
        /// The key.
        key: String,
        /// How.
        read: Read,
    },
    /// Reads all keys with a prefix.
    List {
        /// The prefix.
        prefix: String,
        /// How.
        read: Read,
    },
    /// Opens a session.
    OpenSession {
        /// Its TTL.
        ttl_ms: u64,
    },
    /// Closes a session.
    CloseSession {
        /// Which.
        session: u64,
    },
    /// Takes a lock, or campaigns in an election (always exclusive).
    Acquire {
        /// Name of the lock or of the election.
        lock: String,
        /// How.
        mode: Mode,
        /// The session of the claim.
        session: u64,
        /// The claim's suffix.
        suffix: String,
        /// Only if it is free now.
        only_if_free: bool,
    },
    /// Gives a lock back, or resigns.
    Release {
        /// The lock.
        lock: String,
        /// The session.
        session: u64,
        /// The token.
        token: u64,
    },
    /// Asks who owns a lock, linearizably.
    Describe {
        /// The lock.
        lock: String,
    },
    /// Writes the value of an owner's claim.
    Proclaim {
        /// The election.
        lock: String,
        /// The token.
        token: u64,
        /// The value.
        value: String,
    },
    /// Forgets history up to a revision.
    Compact {
        /// The revision.
        revision: u64,
    },
    /// Changes the members, or who leads: `add 4`, `promote 4`, `remove 2`, `transfer 3`.
    Admin {
        /// In words.
        what: String,
    },
    /// A write into the register outside of the cluster, which accepts a token not lower than the highest it has seen.
    Register {
        /// The lock that protects the register.
        lock: String,
        /// The token.
        token: u64,
    },
}

/// A key as it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Revision of this version.
    pub mod_revision: u64,
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a write: the revision that it made. Also to [`Action::Compact`] (the revision asked for).
    Wrote {
        /// The revision.
        revision: u64,
    },
    /// To [`Action::Swap`] and [`Action::FencedPut`] whose comparison didn't hold, and to a [`Action::Delete`] of nothing; nothing was
    /// changed. The state's revision then.
    Unchanged {
        /// The revision.
        revision: u64,
    },
    /// To a read: what was there (a get: at most one), and the state's revision at which it was read.
    Read {
        /// What was there.
        found: Vec<Seen>,
        /// The revision.
        revision: u64,
    },
    /// To [`Action::OpenSession`].
    Session {
        /// Its id.
        id: u64,
    },
    /// To [`Action::Acquire`]: the fencing token.
    Token {
        /// The token.
        token: u64,
    },
    /// To [`Action::Describe`].
    Queue {
        /// Tokens of the owners, oldest first.
        owners: Vec<u64>,
        /// Tokens of the waiters, oldest first.
        waiters: Vec<u64>,
        /// The state's revision.
        revision: u64,
    },
    /// Done, and nothing to tell.
    Done,
}

/// How a call ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done.
    Ok(Answer),
    /// Surely not done: the error's kind.
    Refused(String),
    /// Done or not done: no answer came, or one that doesn't say. Also calls that were dropped or ran to the end of the world. May take effect at
    /// any time after its start.
    Unknown,
}

/// A call and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called.
    pub client: ClientId,
    /// Before it was sent.
    pub start: Time,
    /// After its answer was received, or given up.
    pub end: Time,
    /// What was asked for.
    pub action: Action,
    /// What became of it.
    pub ended: Ended,
}

/// A moment at which a client looked whether it owned a lock, and found itself its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Who.
    pub client: ClientId,
    /// The lock or election.
    pub lock: String,
    /// How it is shared.
    pub mode: Mode,
    /// The token.
    pub token: u64,
    /// When.
    pub at: Time,
}

/// A renewal (or the opening) of a session that was acknowledged to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The session.
    pub session: u64,
    /// Its TTL.
    pub ttl_ms: u64,
    /// When it was sent.
    pub sent: Time,
    /// When the client knew.
    pub acknowledged: Time,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its revision.
    pub revision: u64,
    /// The key.
    pub key: String,
    /// `None`: the key was deleted.
    pub value: Option<String>,
}

/// What a watcher was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The state of the watch's range at a revision, in place of all before.
    Snapshot {
        /// The revision.
        revision: u64,
        /// Everything that was there.
        found: Vec<Seen>,
    },
    /// Changes, whole revisions.
    Events(Vec<Version>),
    /// Everything up to this revision was told.
    Progress {
        /// The revision.
        revision: u64,
    },
    /// Ended: what it asked for was compacted away; the oldest revision that is left.
    Compacted {
        /// The revision.
        oldest: u64,
    },
    /// Ended for another reason.
    Failed(String),
}

/// A watch, from its creation to its end; reconnections are the client's business and don't show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whose.
    pub client: ClientId,
    /// When it was asked for.
    pub start: Time,
    /// The prefix of its keys.
    pub prefix: String,
    /// The first revision asked for; 0: from the next change on.
    pub from: u64,
    /// Asked for a snapshot first.
    pub snapshot: bool,
    /// What it was told, in order, with the moment.
    pub told: Vec<(Time, Told)>,
    /// It was open, undisturbed, until everything was still at the world's end: it must have seen everything.
    pub to_the_end: bool,
}

/// Who led an election, as an observer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whose observer.
    pub client: ClientId,
    /// Its number.
    pub observer: u64,
    /// When it was told.
    pub at: Time,
    /// The election.
    pub election: String,
    /// The leader's token, if somebody led.
    pub leader: Option<u64>,
    /// The revision at which that was so.
    pub revision: u64,
}

/// What one entry of the log did to the state, as the first replica that applied it told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The changes, in order; claims are keys too.
    pub changes: Vec<Version>,
    /// Sessions that expired.
    pub expired: Vec<u64>,
    /// Sessions that were opened, with their TTLs in milliseconds.
    pub opened: Vec<(u64, u64)>,
    /// Claims that became owners: name, session, token.
    pub granted: Vec<(String, u64, u64)>,
    /// Claims that ended: name, session, token.
    pub ended: Vec<(String, u64, u64)>,
    /// Claims as their claimers were answered: name, session, token, mode. One that was asked for again stands in several entries. Without
    /// these no checker knows how a claim shares its name, and takes it from the calls, where they say it.
    pub claimed: Vec<(String, u64, u64, Mode)>,
    /// Sessions that were renewed. Where no entry has any, nobody checks that sessions don't end late.
    pub renewed: Vec<u64>,
    /// The feature level that the cluster has from here on, where it was raised.
    pub level: Option<u32>,
}

/// That a replica applied an entry, or (with a snapshot) came to an index at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Who.
    pub server: Server,
    /// Which of its lives, from 1: each start is a new one.
    pub life: u32,
    /// When.
    pub at: Time,
    /// Index of the entry.
    pub index: u64,
    /// The state's running hash after it.
    pub hash: u64,
    /// The state's revision after it.
    pub revision: u64,
    /// It came with a snapshot.
    pub installed: bool,
}

/// The newest feature level that a server understands from a start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// When it started.
    pub at: Time,
    /// Who.
    pub server: Server,
    /// The level.
    pub level: u32,
}

/// That a server was seen as leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Led {
    /// Who.
    pub server: Server,
    /// In which term, as [`term`] counts them.
    pub term: u64,
    /// From when.
    pub from: Time,
    /// Until when it was seen.
    pub until: Time,
}

/// How messages come through between servers, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// From when on.
    pub at: Time,
    /// By how much one may be late, by links, by messages' fates and by syncs together.
    pub late: Time,
    /// Some, or their answers, get lost.
    pub lossy: bool,
}

/// Who votes from an entry of the log on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voters {
    /// Index of the entry.
    pub index: u64,
    /// The voters: one group, or two while they are being changed.
    pub groups: Vec<Vec<Server>>,
}

/// A server's log at a moment, as it was on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Who.
    pub server: Server,
    /// When.
    pub at: Time,
    /// Term and content's hash of each entry, by index.
    pub entries: BTreeMap<u64, (u64, u64)>,
    /// Index up to which it is known as committed there.
    pub committed: u64,
    /// The leadership that it voted for last; 0: for none.
    pub vote: u64,
}

/// That a server was about to answer that it votes for a leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voted {
    /// Who.
    pub server: Server,
    /// Which, as [`term`] counts them.
    pub term: u64,
    /// When.
    pub at: Time,
}

/// A fault that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Its kind, such as `kill`.
    pub kind: &'static str,
    /// In words.
    pub what: String,
    /// It changed something: a kill of a dead server doesn't.
    pub effective: bool,
}

/// One of each operation after the faults were over, with what had to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// What was tried.
    pub what: String,
    /// When it could work: all faults healed but those that leave a majority core.
    pub from: Time,
    /// When it was done, if it was within the bound.
    pub done: Option<Time>,
    /// The last error.
    pub last: String,
}

/// All that happened in a world.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order of their ends.
    pub calls: Vec<Call>,
    /// In order of time.
    pub beliefs: Vec<Belief>,
    /// In order of acknowledgement.
    pub renewals: Vec<Renewed>,
    /// In order of their creation.
    pub watches: Vec<Watch>,
    /// In order of time.
    pub observed: Vec<Observed>,
    /// The log as it was applied.
    pub entries: BTreeMap<u64, Entry>,
    /// In order of time.
    pub applied: Vec<Applied>,
    /// Where no replica tells what it applies: indexes of entries, and a moment by which each had surely been applied somewhere.
    pub known: Vec<(u64, Time)>,
    /// In order of their begin.
    pub leaders: Vec<Led>,
    /// In order of time.
    pub logs: Vec<Log>,
    /// In order of time.
    pub votes: Vec<Voted>,
    /// What servers understand from their starts on, in order of time.
    pub levels: Vec<Level>,
    /// In order of their indexes. Empty: the voters aren't known, and nobody counts quorums.
    pub voters: Vec<Voters>,
    /// In order of time.
    pub faults: Vec<Fault>,
    /// In which condition machines and links were, in order of time. A server is down until it is said to be up.
    pub conditions: Vec<Changed>,
    /// How messages come through between servers, in order of time. Before the first: well.
    pub weather: Vec<Weather>,
    /// What had to work at the end.
    pub liveness: Vec<Liveness>,
    /// The keyspace at the end, claims included, read linearizably.
    pub last: Vec<Seen>,
    /// The revision at which that was read; 0: after everything.
    pub last_revision: u64,
    /// Clocks' rates were all within the drift allowance.
    pub clocks_within_allowance: bool,
    /// The greatest difference that a clock's rate had from true time, in parts per million.
    pub drift_ppm_max: u64,
    /// When the world ended.
    pub end: Time,
}
