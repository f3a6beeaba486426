//! What the sources of server, core and client tell the simulation, and what it tells them.
//!
//! Linked under `--cfg madsim` alone: no program that serves anybody knows it. Three things pass here:
//!
//! - [`bugs`]: mistakes that can be switched on, one at a time, to prove that the checkers find them.
//! - [`marks`]: states that a good run must reach at some time, counted where they are reached.
//! - [`hooks`]: what happens inside a server or client (applied entries, messages about to be sent, disk operations), told to the
//!   world that runs it, which may answer with a fault.
//!
//! Everything is per thread, since each world has a thread of its own.

pub mod bugs;
#[cfg(madsim)]
pub mod callers;
pub mod hooks;
pub mod marks;
#[cfg(madsim)]
pub mod messages;
pub mod renewals;
pub mod unsure;
pub mod voters;

pub use bugs::{Bug, on};
pub use marks::hit;
