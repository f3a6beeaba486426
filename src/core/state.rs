//! The state. (Skeleton.)
use crate::{Command, Entry, Outcome, Refusal, query::Query};
/// The replicated state. Cloning is cheap: the maps share structure.
#[derive(Clone, Debug, Default)]
pub struct State {}
impl State {
    /// Applies one entry.
    pub fn apply(&mut self, _entry: &Entry) -> Outcome {
        Outcome::default()
    }
    /// Answers one question.
    ///
    /// # Errors
    /// See [`Query`].
    pub fn read<Q: Query>(&self, query: &Q) -> Result<Q::Answer, Refusal> {
        query.answer(self)
    }
}
impl Command {
    /// Checks what can be checked without a state: sizes, counts, ranges, names. `apply` checks the same again.
    ///
    /// # Errors
    /// The [`Refusal`] that `apply` would answer.
    pub fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}
