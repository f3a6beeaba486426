//! What clients saw, and whether it can have been so.
//!
//! A [`Recorder`] notes every call of every client with the moments at which it was sent and answered, and every moment at
//! which a client was sure that it owned a lock. After the faults are over the test reads back what the cluster holds
//! now ([`Version`]s), and the checkers, one property a file, compare the two:
//!
//! - [`writes`]: every acknowledged write is there, every refused one isn't, and their order is that of real time.
//! - [`tokens`]: the tokens of a lock only grow.
//! - [`one_holder`]: no two clients were ever sure of the same lock at the same time.
//! - [`fenced`]: what the lock protects never went back to an older owner.
//! - [`watch`]: a watcher saw every change once, in order, and no revision in two parts.
//! - [`agreement`]: members that applied the same have the same state.
//!
//! A checker proves nothing unless it can say no: each has tests with histories written by hand that it must reject.

pub mod agreement;
pub mod fenced;
pub mod one_holder;
mod recorder;
pub mod tokens;
pub mod watch;
pub mod writes;

pub use recorder::{OpenCall, Recorder};

/// A moment: the number of moments noted before it, in all tasks and threads of the test. Unlike a clock's reading it never ties,
/// and if one event was over before another began, its moment is smaller.
pub type Moment = u64;

/// Something a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a key. Values are unique over the test, so that a write can be recognised.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Write a key in a transaction that compares *holds* for this lock and token.
    FencedPut {
        /// The lock.
        lock: String,
        /// The token under which the client writes.
        token: u64,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Take a lock.
    Acquire {
        /// The lock.
        lock: String,
    },
    /// Give a lock back.
    Release {
        /// The lock.
        lock: String,
        /// The token under which it was held.
        token: u64,
    },
}

/// How a call ended, as far as the client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done. For writes the number is the revision, for an acquisition the token, for a release 0.
    Ok(u64),
    /// Surely not done, with the reason.
    Refused(String),
    /// Done or not done: the answer never came, or said that it doesn't know.
    Unknown,
}

/// A call and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called.
    pub client: u32,
    /// Before it was sent.
    pub start: Moment,
    /// After its answer was received, or given up.
    pub end: Moment,
    /// What was asked for.
    pub action: Action,
    /// What became of it.
    pub ended: Ended,
}

/// A moment at which a client was sure that it owned a lock: noted before it looked, and it found itself valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Who.
    pub client: u32,
    /// The lock.
    pub lock: String,
    /// The token.
    pub token: u64,
    /// When.
    pub at: Moment,
}

/// All that was noted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order of their ends.
    pub calls: Vec<Call>,
    /// In no order.
    pub beliefs: Vec<Belief>,
}

/// One change of one key, as the cluster's own history tells it afterwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its revision.
    pub revision: u64,
    /// The key.
    pub key: String,
    /// `None`: the key was deleted.
    pub value: Option<String>,
}

/// A promise that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// The answer of every checker.
pub type Verdict = Result<(), Broken>;

/// A broken promise, said in the words of `format!`.
macro_rules! broken {
    ($($words:tt)*) => {
        return Err($crate::history::Broken(format!($($words)*)))
    };
}
pub(crate) use broken;
