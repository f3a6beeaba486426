//! Tests of the real binaries over real sockets and real disks.
//!
//! Each file that `stories.rs` names is a story of its own, and all use what stands here: [`World`] starts the nodes,
//! [`raw`] speaks to them as any language would, [`load`] puts clients to work while things break, [`overload`] asks too much of
//! them, [`snapshots`] has them write snapshots meanwhile, and [`history`] notes what the clients saw and checks it. No test asserts how long something took, and none sleeps to
//! be in step: they wait for conditions, with a bound after which they say what they were waiting for.

mod harness;
pub mod history;
pub mod overload;
pub mod snapshots;

pub use harness::{World, binaries, cli, http, load, raw, refused, tls, wait};
