//! The replicated state of Ringfence.

mod answers_skeleton;
pub mod command;
pub mod limits;
pub mod outcome;
pub mod query;
pub mod refusal;
pub mod snapshot;
pub mod state;

pub use command::*;
pub use outcome::*;
pub use refusal::Refusal;
pub use state::State;
