//! A cluster on one machine: N servers as processes of their own, started, killed, paused and restarted.
//!
//! Tests and people use the same code. A test describes a cluster with [`Cluster::builder`]: free ports, a temporary
//! directory, processes that end with the value. `scripts/cluster` works on a lasting one ([`local`]) under
//! `.ringfence/`, whose processes run on and are found again by their pid files.
//!
//! ```no_run
//! # async fn example() -> Result<(), ringfence_cluster::ClusterError> {
//! let cluster = ringfence_cluster::Cluster::builder().nodes(3).start().await?;
//! let leader = cluster.leader().await?;
//! cluster.node(leader)?.kill().await?;       // as a crash would
//! let next = cluster.leader().await?;        // the other two have agreed
//! cluster.start_node(leader).await?;         // back from its disk
//! # Ok(())
//! # }
//! ```
//!
//! What it holds to:
//!
//! - **A signal never hits a stranger.** A process is its id and the moment of its start ([`process`]).
//! - **Ready means ready.** A node is ready when it says over its own API whom it follows; nothing here sleeps and hopes.
//!   Every wait has a bound, and what it says at the end of it names the node and what was last seen.
//! - **A port stays a node's own** while the node is down ([`ports`]).
//! - **What stands in the files is what runs**: variables `RINGFENCE…` of the caller don't reach the servers.
//!
//! Read in this order: [`cluster`] (what one does), [`builder`] (what it is made of), [`node`], [`process`],
//! [`settings`], [`certs`], [`local`], [`roll`].

pub mod binary;
pub mod builder;
pub mod certs;
pub mod cluster;
pub mod local;
pub mod node;
pub mod ports;
pub mod process;
pub mod roll;
pub mod settings;
pub mod times;

mod ask;
mod error;
#[cfg(test)]
mod tests;

pub use builder::{Builder, Ports};
pub use cluster::{Cluster, READY_LIMIT};
pub use error::ClusterError;
pub use node::{Node, STOP_LIMIT};
pub use process::{Condition, Process};
