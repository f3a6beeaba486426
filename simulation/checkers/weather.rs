//! When entries came through slowly, or not at all: what is bounded in time is bounded beyond that.

use super::facts::Facts;
use crate::history::{History, Time};

const SECOND: Time = 1_000_000_000;
/// A leader that has sessions is silent for no longer: between two of its stamps.
pub(super) const STAMPS: Time = SECOND;
/// So long a member may still wait for an answer that was lost.
const LOSS_LASTS: Time = 2 * SECOND;

/// See the module.
pub(super) struct Weather {
    /// Times in which nothing was applied for longer than a leader is silent.
    idle: Vec<(Time, Time)>,
    /// How late a message came at most, between two moments.
    late: Vec<(Time, Time, Time)>,
    /// Times in which messages between servers got lost.
    lossy: Vec<(Time, Time)>,
}

impl Weather {
    /// Of a whole history.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let mut moments: Vec<Time> = facts.applications().map(|(_, at)| at).collect();
        moments.sort_unstable();
        moments.push(facts.history.end);
        let pairs = moments.windows(2).filter(|pair| pair[1].saturating_sub(pair[0]) > STAMPS);
        let idle = pairs.map(|pair| (pair[0], pair[1])).collect();
        let spans = spans(facts.history);
        let late = spans.iter().filter(|span| span.2 > 0).map(|span| (span.0, span.1, span.2)).collect();
        let lossy = spans.iter().filter(|span| span.3).map(|span| (span.0, span.1.saturating_add(LOSS_LASTS)));
        Self { idle, late, lossy: joined(lossy) }
    }

    /// Time within these two moments in which nothing was applied.
    pub(super) fn idle(&self, from: Time, to: Time) -> Time {
        common(&self.idle, from, to)
    }

    /// By how much an entry and the one before it may have been late within these two moments, there and back, and how long
    /// messages got lost.
    pub(super) fn delay(&self, from: Time, to: Time) -> Time {
        let late = self.late.iter().filter(|(begin, end, _)| *begin < to && *end > from);
        2 * late.map(|(.., late)| *late).max().unwrap_or_default() + common(&self.lossy, from, to)
    }
}

/// From when to when, how late, and whether anything got lost.
fn spans(history: &History) -> Vec<(Time, Time, Time, bool)> {
    let ends = history.weather.iter().skip(1).map(|next| next.at).chain([history.end]);
    history.weather.iter().zip(ends).map(|(now, end)| (now.at, end, now.late, now.lossy)).collect()
}

/// Spans in the order of their begins, those that overlap made one.
fn joined(spans: impl Iterator<Item = (Time, Time)>) -> Vec<(Time, Time)> {
    let mut joined: Vec<(Time, Time)> = Vec::new();
    for (begin, end) in spans {
        match joined.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((begin, end)),
        }
    }
    joined
}

fn common(spans: &[(Time, Time)], from: Time, to: Time) -> Time {
    spans.iter().map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from))).sum()
}
