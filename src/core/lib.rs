//! The replicated state of Ringfence: what the cluster agrees on, as one synchronous value.
//!
//! Raft puts the same entries in the same order before every replica. This room says what they mean. It is one type,
//! [`State`], with two doors: [`State::apply`] changes it by an entry and tells what came of it, [`State::read`] answers a
//! question. There is no third. No clock, no file, no network, no randomness and no thread is in here, and nothing whose
//! order differs from process to process: the same entries give the same state, the same outcomes, and the same running
//! hash everywhere.
//!
//! The words:
//!
//! - A **revision** numbers a change of the keyspace. It only grows, and each holds each key at most once.
//! - A **session** is a client's proof of being alive. It ends by being closed, or when the state's clock, which entries'
//!   stamps move, reaches its deadline; then all keys that are bound to it go in one revision.
//! - A **claim** is a key bound to a session, in the **queue** of a name. The oldest compatible claims of a queue are its
//!   **owners**. Locks, elections and semaphores are all this.
//! - A **token** is the revision that created a claim. Since revisions only grow, a later owner has the greater one.
//! - A **refusal** says why a request may not be done. It is part of the reply, the same on every replica, and what is
//!   refused has changed nothing.
//!
//! The way of one request: [`Command::check`] refuses what no state could take, at the member that received it, so that it
//! never enters the log, and again in `apply`, since a log may hold anything. `step` moves the clock, ends the sessions that
//! are over, and looks into the session's `retry` table whether this is a retry: then the first answer is given again. A
//! transaction is planned, then done (`transaction`); a claim joins its queue (`claims`, `queues`); whatever changes keys
//! drafts the next revision in the `keyspace` and commits it. `step` gathers replies, changes and grants for the
//! [`Outcome`], and chains a canonical form of every effect onto the hash (`hash`).
//!
//! The maps share structure: a clone of a state costs nothing, and a snapshot is written from one while applying goes on
//! (`snapshot`), to be read back with nothing taken on trust (`restore`). Each file lists the invariants that it keeps at
//! its head; [`State::verify_invariants`] checks all of them.
//!
//! Read in this order: [`command`], [`outcome`], [`refusal`], [`query`], [`limits`]; `state`, `step`; `keyspace`,
//! `transaction`, `range`; `sessions`, `retry`, `lifecycle`, [`levels`]; `queues`, `claims`; `snapshot`, `restore`, [`backup`]. What it all does is told by
//! example in `testscripts/`.

mod answers;
pub mod backup;
mod check;
mod claims;
pub mod command;
mod hash;
mod keyspace;
pub mod levels;
mod lifecycle;
pub mod limits;
#[cfg(madsim)]
mod mistakes;
pub mod outcome;
pub mod query;
mod queues;
mod range;
pub mod refusal;
mod restore;
mod retry;
mod sessions;
pub mod snapshot;
mod span;
pub mod state;
mod step;
mod transaction;
mod verify;

pub use command::*;
pub use outcome::*;
pub use refusal::Refusal;
pub use state::State;
