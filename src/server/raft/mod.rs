//! Everything of raft: the log on disk, the snapshots, the peers' network. The rest of the server sees [`Node`] and the few
//! types beside it, and none of openraft's.

pub mod codec;
pub mod engine;
mod errors;
mod failure;
mod forwards;
pub mod log_store;
mod node;
mod runtime;
mod settings;
pub mod snapshots;
mod state_machine;
mod types;
mod views;
mod watch;

pub use engine::memory::MemoryDisk;
pub use errors::{AdminError, BootstrapError, ForwardError, ProposeError, ReadIndexError, StartError};
pub use forwards::Forwards;
pub use node::Node;
pub use settings::{DataPlace, NodeSettings};
pub use views::{Admin, Leadership, Member, NodeStatus, Proposed};
