//! (Skeleton.)

pub mod api;
pub mod raft;
pub mod replica;
pub mod stopping;
pub mod waits;
