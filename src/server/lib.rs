//! (Skeleton.)

pub mod account;
pub mod api;
pub mod config;
pub mod limits;
pub mod proposer;
pub mod raft;
pub mod reader;
pub mod replica;
pub mod server;
pub mod serving;
pub mod stopping;
pub mod waits;
pub mod watch;
