//! The replicated state of Ringfence.

mod answers;
mod check;
mod claims;
pub mod command;
mod hash;
mod keyspace;
mod lifecycle;
pub mod limits;
pub mod outcome;
pub mod query;
mod queues;
mod range;
pub mod refusal;
mod restore;
mod retry;
mod sessions;
pub mod snapshot;
mod span;
pub mod state;
mod step;
mod transaction;
mod verify;

pub use command::*;
pub use outcome::*;
pub use refusal::Refusal;
pub use state::State;
