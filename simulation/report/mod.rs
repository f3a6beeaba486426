//! What a run tells whoever started it: figures, failures as text, lines of JSON, and pages that show what happened.
//!
//! - [`figures`]: what happened in one world, counted, and the sum over many.
//! - [`text`]: the report at the end.
//! - [`jsonl`]: the same for programs.
//! - [`events`]: a history as single events, each at its place.
//! - [`failure`]: a failure, and what happened before it.
//! - [`html`]: pages to look at.
//! - [`words`]: calls and answers as words.

pub mod events;
pub mod failure;
pub mod figures;
pub mod html;
pub mod jsonl;
pub mod text;
pub mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use failure::{failure_story, failure_text};
pub use figures::{Broken, Endings, Figures, Run, Totals};

use crate::history::Time;

/// Nanoseconds of a second.
pub(crate) const SECOND: Time = 1_000_000_000;

/// A moment or a stretch of simulated time in seconds.
#[expect(clippy::cast_precision_loss, reason = "a world lasts for minutes, and is shown to the microsecond")]
#[must_use]
pub fn seconds(time: Time) -> f64 {
    time as f64 / SECOND as f64
}
