//! In which condition machines and links were, for whoever draws or tells what happened. No checker reads it: what is
//! promised doesn't depend on why something was hard.

use super::{ClientId, Server, Time};

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// A server's.
    Server(Server),
    /// A client's.
    Client(ClientId),
}

/// What a machine or a link is from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs: after a start, or after a pause.
    Up(Machine),
    /// It is off, or its process has ended.
    Down(Machine),
    /// It stands still.
    Paused(Machine),
    /// Nothing gets from the one to the other.
    Cut(Machine, Machine),
    /// Messages get from the one to the other again.
    Mended(Machine, Machine),
}

/// A change of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// When.
    pub at: Time,
    /// What is so from then on.
    pub now: Condition,
}
