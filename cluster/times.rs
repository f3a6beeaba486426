//! How long things took, for reports.

use std::time::Duration;

/// The time within which so many of a thousand were over, by the nearest rank. `sorted`: the shortest first. Zero of none.
#[must_use]
pub fn within(sorted: &[Duration], permille: usize) -> Duration {
    let rank = (sorted.len() * permille).div_ceil(1000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// The least, the middle, the nine tenths and the most of these, in milliseconds, for people.
#[must_use]
pub fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let [least, p50, p90, most] = [0, 500, 900, 1000].map(|permille| ms(within(&times, permille)));
    format!("least {least:.1}, p50 {p50:.1}, p90 {p90:.1}, most {most:.1}")
}

/// In milliseconds, for people.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
