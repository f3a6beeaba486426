//! How long things took, for reports.

use std::time::Duration;

/// The time within which so many of a thousand were over, by the nearest rank. `sorted`: the shortest first. Zero of none.
#[must_use]
pub fn within(sorted: &[Duration], permille: usize) -> Duration {
    let rank = (sorted.len() * permille).div_ceil(1000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// In milliseconds, for people.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
