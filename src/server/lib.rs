//! The Ringfence server: how the state is agreed on, kept and served.
//!
//! The state itself is `ringfence-core`: pure, and the same on every member. This crate gives it everything that it must not know
//! of: a log that a majority has on disk, time, sockets, and those who wait.
//!
//! **Words.** A *member* is one server of a cluster. The *replica* is its copy of the state, with the index of the last log
//! entry in it. An *entry* is what one place in the log holds: the leader's stamp and a batch of requests. A *refusal* is an answer
//! of the state, the same on every member; an *error* is this member's own and says whether anything may have been done.
//!
//! **The way of a write.** A service in [`api`] checks it and makes a request of the core of it. The [`proposer`] puts it
//! into a batch; on the leader it stamps the batch with the state's clock and proposes it, elsewhere it forwards it to the
//! leader. [`raft`] writes it to the log, and once a majority has it on disk, applies it to the [`replica`]. The reply goes back
//! the same way; the changes go to the [`watch`] hub, which wakes watches, and whoever waits for a lock.
//!
//! **The way of a read.** The [`reader`] waits until the replica is fresh enough: for a linearizable read, as far as the leader,
//! confirmed by a majority, says; for a stale one, as far as the client has seen. Then the question is put to the
//! replica, on this member.
//!
//! **Invariants.** Only raft's state machine changes the replica. Nothing is acknowledged before a majority has synced it. A write is
//! sent twice only if it was surely not done, or if twice is as good as once. An answer's header carries the revision of
//! the very state that it was made from. What must never happen stops the member; it never guesses on.
//!
//! Only [`raft`] names openraft, and only one file of it names sled. The services never speak to each other. The same sources
//! run in simulation under `--cfg madsim`; what is missing there (health, reflection, HTTP, signals, limits on sockets, TLS) is confined to
//! [`serving`], `incoming`, [`tls`], `http` and the program.
//!
//! **In which order to read.** [`server`] assembles it all and is the map. Then [`replica`]; [`api::kv`] for a write and a
//! read from the door on; [`proposer`], [`reader`], [`watch`]; [`raft`] with its engine. [`config`] and [`limits`] say
//! what can be set and what can't.

pub mod account;
pub mod api;
pub mod config;
mod crowd;
#[cfg(not(madsim))]
pub mod http;
#[cfg(not(madsim))]
pub mod incoming;
#[cfg(all(any(test, feature = "fuzzing"), not(madsim)))]
pub mod inlets;
pub mod levels;
pub mod limits;
#[cfg(not(madsim))]
pub mod open_files;
pub mod proposer;
pub mod raft;
pub mod reader;
pub mod replica;
pub mod server;
pub mod serving;
pub mod stopping;
pub mod tls;
pub mod waits;
pub mod watch;

pub use server::{Server, StartError};
