//! The state: what all rooms of this crate are put together to, and the two doors to it.
//!
//! Invariants beyond those of its parts:
//!
//! - The clock and the level never go back.
//! - Every live key that is a claim stands in its name's queue under its token, and the reverse.
//! - Every key that is bound to a session is among that session's keys, and the reverse.

use crate::command::Entry;
use crate::keyspace::Keyspace;
use crate::outcome::Outcome;
use crate::query::Query;
use crate::queues::Queues;
use crate::refusal::Refusal;
use crate::sessions::Sessions;
use crate::step::Step;

/// The replicated state. Cloning is cheap: the maps share structure.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Milliseconds. Moves by the stamps on entries only.
    pub(crate) clock_ms: u64,
    /// The last number that a sequential put was given.
    pub(crate) sequential: u64,
    /// Running hash over everything applied.
    pub(crate) hash: u64,
    /// See [`crate::levels`].
    pub(crate) level: u32,
    pub(crate) keyspace: Keyspace,
    pub(crate) sessions: Sessions,
    pub(crate) queues: Queues,
}

impl State {
    /// Applies one entry: moves the clock, ends sessions that are over, then does the requests in order. The outcome, and
    /// the state afterwards, depend on nothing but the state before and the entry.
    pub fn apply(&mut self, entry: &Entry) -> Outcome {
        let mut step = Step::new(self, entry.wall_ms);
        step.advance(entry.clock_ms);
        step.expire();
        for request in &entry.requests {
            step.request(request);
        }
        step.finish()
    }

    /// Answers one question.
    ///
    /// # Errors
    /// See [`Query`].
    pub fn read<Q: Query>(&self, query: &Q) -> Result<Q::Answer, Refusal> {
        query.answer(self)
    }
}
