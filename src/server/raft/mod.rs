//! Everything of raft: the log on disk, the snapshots, the peers' network. The rest of the server sees [`Node`] and the few
//! types beside it, and none of openraft's.
//!
//! Read [`node`](Node) first, then `state_machine`, `log_store` with its [`engine`]s, `snapshots`, and `network`.
//! `types` fills in openraft's generics; [`codec`] is how things stand on disk and on the wire; `runtime` and `watch` are
//! what openraft runs on, in reality and in simulation.

mod admin;
pub mod backup;
#[cfg(not(madsim))]
pub mod check;
pub mod codec;
pub mod disk;
pub mod engine;
mod errors;
mod failure;
mod forwards;
#[cfg(all(any(test, feature = "fuzzing"), not(madsim)))]
pub(crate) mod inlets;
mod log_store;
mod network;
mod node;
#[cfg(madsim)]
mod one_step;
mod quorum;
#[cfg(madsim)]
pub mod read_log;
#[cfg(not(madsim))]
pub mod restore;
pub mod room;
mod runtime;
mod settings;
mod snapshots;
mod stall;
mod standing;
mod state_machine;
pub mod types;
mod upkeep;
mod views;
mod watch;

pub use engine::memory::MemoryDisk;
pub use errors::{AdminError, BootstrapError, ForwardError, ProposeError, ReadIndexError, StartError, listed};
pub use failure::{Ending, Failure};
pub use forwards::Forwards;
pub use log_store::LogStore;
pub use node::Node;
pub use settings::{DataPlace, NodeSettings};
pub use snapshots::Snapshots;
pub use upkeep::Growth;
pub use views::{Admin, AdminDone, Leadership, Member, NodeStatus, Proposed};

#[cfg(all(test, not(madsim)))]
mod tests;
