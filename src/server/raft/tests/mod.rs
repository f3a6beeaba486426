//! Tests of raft with everything under it: real sockets on the loopback, real sled in temporary directories.

mod cluster;
mod conformance;
mod golden;
mod harness;
mod purging;
mod reaching;
mod removing;
mod room;
mod stall;
mod starting;
