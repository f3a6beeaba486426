//! A session never ends before its TTL has passed since its last acknowledged renewal was sent, and it ends no later than the stated bound.
//!
//! The bound is TTL + time without a leader + one renewal window + one tick, and up to a second for each change of leader. Time without a leader is
//! here the time in which nobody was seen to lead, or, if that is more, in which nothing was applied for longer than a second: while there are sessions, a
//! leader that is one writes a stamp each second. The entry that ends a session has its way to a quorum, behind the one before it: where links or disks
//! were made slow, or messages lost, that is allowed for.

use std::collections::BTreeMap;

use super::{
    Findings,
    facts::{Facts, ms},
    weather::{STAMPS, Weather},
};
use crate::history::{History, Led, Time};

const MS: Time = 1_000_000;
/// The longest renewal window.
const WINDOW: Time = 500 * MS;
/// A tick, and the way of an entry to a quorum in good weather.
const SLACK: Time = 1_000 * MS;
/// The state's clock counts whole milliseconds.
const ROUNDING: Time = 2 * MS;

/// The earliest end of each session's lease: its TTL after the last acknowledged renewal was sent, less what the fastest clock makes of it.
pub(super) fn lease_ends(history: &History) -> BTreeMap<u64, Time> {
    let mut ends: BTreeMap<u64, Time> = BTreeMap::new();
    for renewed in &history.renewals {
        let end = ends.entry(renewed.session).or_default();
        *end = renewed
            .sent
            .saturating_add(at_fastest(renewed.ttl_ms, history.drift_ppm_max))
            .saturating_sub(ROUNDING)
            .max(*end);
    }
    ends
}

fn at_fastest(ttl_ms: u64, ppm: u64) -> Time {
    scaled(ttl_ms * MS, 1_000_000, 1_000_000 + ppm)
}

fn at_slowest(ttl_ms: u64, ppm: u64) -> Time {
    scaled(ttl_ms * MS, 1_000_000, 1_000_000 - ppm.min(900_000))
}

fn scaled(time: Time, times: u64, over: u64) -> Time {
    Time::try_from(u128::from(time) * u128::from(times) / u128::from(over)).unwrap_or(Time::MAX)
}

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let ends = lease_ends(facts.history);
    let weather = Weather::of(facts);
    let mut ttls: BTreeMap<u64, u64> =
        facts.history.renewals.iter().map(|renewed| (renewed.session, renewed.ttl_ms)).collect();
    // By the log: when a session was last renewed or opened. It may not tell of renewals; then nobody can say what is late.
    let mut renewed: BTreeMap<u64, Time> = BTreeMap::new();
    let exact = facts.history.entries.values().any(|entry| !entry.renewed.is_empty());
    for (&index, entry) in &facts.history.entries {
        let Some(at) = facts.applied_at(index) else { continue };
        for session in &entry.expired {
            if let Some(end) = ends.get(session).filter(|end| at < **end) {
                findings.broken(
                    at,
                    format!("session {session} expired at {}, and its lease went until {}", ms(at), ms(*end)),
                );
            }
            if let (Some(from), Some(ttl_ms), true) = (renewed.remove(session), ttls.get(session), exact) {
                let latest = latest(facts, &weather, from, at, *ttl_ms);
                if at > latest {
                    let what =
                        format!("session {session} expired at {}; {} would have been in time", ms(at), ms(latest));
                    findings.broken(at, what);
                }
            }
        }
        for (session, ttl_ms) in &entry.opened {
            ttls.insert(*session, *ttl_ms);
            renewed.insert(*session, at);
        }
        for session in &entry.renewed {
            renewed.insert(*session, at);
        }
    }
    if !exact {
        return;
    }
    // Sessions whose claims or renewals show that they were not closed are over the bound, too, if they are still there.
    let closed = closed(facts.history);
    for (session, from) in renewed.into_iter().filter(|(session, _)| !closed.contains_key(session)) {
        let Some(ttl_ms) = ttls.get(&session) else { continue };
        let latest = latest(facts, &weather, from, facts.history.end, *ttl_ms);
        let holds = facts.claims.values().any(|claim| claim.session == session && claim.ended.is_none());
        if holds && facts.history.end > latest {
            let what = format!("session {session} was last renewed at {}, holds claims, and never expired", ms(from));
            findings.broken(latest, what);
        }
    }
}

/// Sessions that somebody closed, or may have.
fn closed(history: &History) -> BTreeMap<u64, Time> {
    use crate::history::Action;
    let closing = history.calls.iter().filter_map(|call| match call.action {
        Action::CloseSession { session } => Some((session, call.start)),
        _ => None,
    });
    closing.collect()
}

/// The latest moment at which a session that was last renewed at `from` may expire, where it did at `at`.
fn latest(facts: &Facts<'_>, weather: &Weather, from: Time, at: Time, ttl_ms: u64) -> Time {
    let history = facts.history;
    let ttl = at_slowest(ttl_ms, history.drift_ppm_max);
    let changes = history.leaders.iter().filter(|led| led.from >= from && led.from <= at).count() as Time;
    let without = nobody_led(&history.leaders, from, at).max(weather.idle(from, at));
    from + ttl + without + changes * STAMPS + WINDOW + SLACK + weather.delay(from, at)
}

/// Time within these two moments in which nobody was seen to lead.
fn nobody_led(leaders: &[Led], from: Time, to: Time) -> Time {
    let mut terms: Vec<(Time, Time)> = leaders.iter().map(|led| (led.from, led.until)).collect();
    if terms.is_empty() {
        return 0;
    }
    terms.sort_unstable();
    let (mut without, mut covered) = (0, from);
    for (begin, until) in terms {
        without += begin.min(to).saturating_sub(covered);
        covered = covered.max(until);
    }
    without + to.saturating_sub(covered)
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const SECOND: Time = 1_000_000_000;

    /// A session with a TTL of 10 s, opened at 0, renewed at 3 s, that expires at this second; somebody writes all the time.
    fn session(expired: Option<u64>) -> History {
        let mut history = calls(vec![]);
        history.end = 60 * SECOND;
        let mut entries = Vec::new();
        for half in 1..=120 {
            let mut entry = Entry::default();
            match half {
                1 => entry = Entry { opened: vec![(7, 10_000)], ..claims("l", 7, 1, Mode::Exclusive, true) },
                6 => entry.renewed.push(7),
                _ if Some(half) == expired.map(|second| second * 2) => {
                    entry = Entry { expired: vec![7], ..leaves("l", 7, 1, 2, &[]) };
                }
                _ => {}
            }
            entries.push((half * SECOND / 2, entry));
        }
        log(&mut history, entries);
        let renewed = |sent, acknowledged| Renewed { session: 7, ttl_ms: 10_000, sent, acknowledged };
        history.renewals = vec![renewed(0, SECOND), renewed(2 * SECOND + SECOND / 2, 4 * SECOND)];
        history
    }

    #[test]
    fn an_end_within_the_bound_is_accepted() {
        accepts(check, &session(Some(13)));
        accepts(check, &session(Some(14)));
    }

    #[test]
    fn an_early_end_is_rejected() {
        rejects(check, &session(Some(12)), "went until");
        rejects(check, &session(Some(11)), "went until");
        // Clocks may run a little fast, and no more.
        let fast = History { drift_ppm_max: 100_000, ..session(Some(12)) };
        accepts(check, &fast);
        let fast = History { drift_ppm_max: 1_000, ..session(Some(12)) };
        rejects(check, &fast, "went until");
    }

    #[test]
    fn a_renewal_acknowledged_after_the_end_is_rejected() {
        let mut history = session(Some(14));
        history.renewals.push(Renewed { session: 7, ttl_ms: 10_000, sent: 15 * SECOND, acknowledged: 16 * SECOND });
        rejects(check, &history, "went until");
    }

    #[test]
    fn a_late_end_is_rejected() {
        rejects(check, &session(Some(20)), "in time");
        rejects(check, &session(None), "never expired");
    }

    #[test]
    fn a_late_end_in_bad_weather_is_accepted() {
        let mut history = session(Some(15));
        rejects(check, &history, "in time");
        let weather = |at, late, lossy| Weather { at: at * SECOND, late: late * SECOND / 4, lossy };
        history.weather = vec![weather(12, 2, false), weather(13, 0, false)];
        accepts(check, &history);
        history.weather = vec![weather(2, 2, false), weather(3, 0, false)];
        rejects(check, &history, "in time");
        history.weather = vec![weather(13, 0, true), weather(14, 0, false)];
        accepts(check, &history);
    }

    #[test]
    fn a_late_end_after_time_without_a_leader_is_accepted() {
        let led = |term, from, until| Led { server: term, term, from: from * SECOND, until: until * SECOND };
        let mut history = session(Some(20));
        history.leaders = vec![led(1, 0, 4), led(2, 10, 60)];
        accepts(check, &history);
        history.leaders = vec![led(1, 0, 4), led(2, 5, 60)];
        rejects(check, &history, "in time");
        // Somebody called itself leader, and nothing was applied.
        let mut silent = session(Some(20));
        silent.applied.retain(|applied| applied.at < 5 * SECOND || applied.at > 12 * SECOND);
        accepts(check, &silent);
    }
}
