//! (Skeleton.)

pub mod api;
pub mod config;
pub mod raft;
pub mod replica;
pub mod stopping;
pub mod waits;
