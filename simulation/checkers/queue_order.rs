//! A lock's owners are always the longest prefix of its queue that can share: nobody overtakes, no waiter is forgotten, and who gave up waiting is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Findings,
    facts::{Facts, acquired, ms},
    weather::Weather,
};
use crate::history::{Action, Answer, Ended, Mode, Time};

/// So long after a wait was given up its claim is withdrawn: the server does it at once, and so does the client; what is lost on the way is repeated.
const WITHDRAWN_AFTER: Time = 25_000_000_000;

/// The claims of one name in the order of their tokens, with their modes, and whether they own it.
type Queue = BTreeMap<u64, (Option<Mode>, bool)>;

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut queues: BTreeMap<&str, Queue> = BTreeMap::new();
    for (&index, entry) in &facts.history.entries {
        let mut touched: BTreeSet<&str> = BTreeSet::new();
        for (name, _, token, mode) in &entry.claimed {
            // It stands here once more when it is asked for again.
            if facts.claims[token].ended.is_none_or(|ended| ended >= index) {
                queues.entry(name).or_default().entry(*token).or_insert((Some(*mode), false));
                touched.insert(name);
            }
        }
        for (name, _, token) in &entry.granted {
            queues.entry(name).or_default().entry(*token).or_insert((facts.claims[token].mode, false)).1 = true;
            touched.insert(name);
        }
        for (name, _, token) in &entry.ended {
            queues.entry(name).or_default().remove(token);
            touched.insert(name);
        }
        for name in touched {
            if let Some(wrong) = wrong(&queues[name]) {
                findings.broken(facts.shown_at(index), format!("{name}, after entry {index}: {wrong}"));
            }
        }
    }
    given_up(facts, findings);
}

fn wrong(queue: &Queue) -> Option<String> {
    let mut owners = 0;
    let first = queue.values().next().and_then(|(mode, _)| *mode)?;
    let mut open = true;
    for (token, (mode, owner)) in queue {
        open = open
            && match ((*mode)?, first) {
                _ if owners == 0 => true,
                (Mode::Shared, Mode::Shared) => true,
                (Mode::Permits(_), Mode::Permits(permits)) => owners < permits as usize,
                _ => false,
            };
        match (open, owner) {
            (true, false) => return Some(format!("token {token} waits, and nobody is in its way: {queue:?}")),
            (false, true) => return Some(format!("token {token} owns it, and it isn't its turn: {queue:?}")),
            _ => owners += usize::from(open),
        }
    }
    None
}

/// A claim is there only while somebody holds it or waits for it, or gave it up a moment ago.
fn given_up(facts: &Facts<'_>, findings: &mut Findings) {
    let history = facts.history;
    let held: BTreeSet<u64> = acquired(history).map(|(_, token)| token).collect();
    let mut released: BTreeSet<u64> = BTreeSet::new();
    let mut asked: BTreeMap<(&str, u64), Vec<(Time, Time)>> = BTreeMap::new();
    for call in &history.calls {
        match (&call.action, &call.ended) {
            (Action::Release { token, .. }, Ended::Ok(_)) => {
                released.insert(*token);
            }
            (Action::Acquire { .. }, Ended::Ok(Answer::Token { .. })) => {}
            (Action::Acquire { lock, session, .. }, _) => {
                asked.entry((lock, *session)).or_default().push((call.start, call.end));
            }
            _ => {}
        }
    }
    let mut first: BTreeMap<u64, Time> = BTreeMap::new();
    for (&index, entry) in &history.entries {
        for (_, _, token, _) in &entry.claimed {
            first.entry(*token).or_insert_with(|| facts.shown_at(index));
        }
    }
    let weather = Weather::of(facts);
    for (token, claim) in &facts.claims {
        let name = claim.name;
        let until = claim.ended.map_or(history.end, |ended| facts.shown_at(ended));
        if released.contains(token) {
            if claim.ended.is_none() {
                findings.broken(history.end, format!("{name}: token {token} was released and is still there"));
            }
        } else if let Some(from) = first.get(token).filter(|_| !held.contains(token)) {
            // Each call makes a claim of its own, so it was made by one of those that had begun by then.
            let calls = asked.get(&(name, claim.session)).into_iter().flatten();
            let last = calls.filter(|(start, _)| start <= from).map(|(_, end)| *end).max();
            // Nothing goes while nothing is applied.
            let latest = |last: Time| last.saturating_add(WITHDRAWN_AFTER + weather.idle(last, until));
            if let Some(last) = last.filter(|last| latest(*last) < until) {
                let what = format!(
                    "{name}: token {token} was still there at {}, and since {} nobody waited for it",
                    ms(until),
                    ms(last)
                );
                findings.broken(latest(last), what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const X: Mode = Mode::Exclusive;
    const S: Mode = Mode::Shared;
    const P: Mode = Mode::Permits(2);

    /// Claims of sessions 1, 2, … with tokens 1, 2, …, granted or not.
    fn queue(claimed: &[(Mode, bool)]) -> History {
        let mut history = calls(vec![]);
        log(
            &mut history,
            (1..).zip(claimed).map(|(n, (mode, granted))| (n, claims("l", n, n, *mode, *granted))).collect(),
        );
        history
    }

    /// All the while something is applied.
    fn busy(mut history: History) -> History {
        let applied = |half| Applied {
            server: 1,
            life: 1,
            at: half * 500_000_000,
            index: 1_000 + half,
            hash: half,
            revision: 3,
            installed: false,
        };
        history.applied.extend((1..200).map(applied));
        history
    }

    #[test]
    fn queues_in_order_are_accepted() {
        accepts(check, &queue(&[(X, true), (X, false), (S, false)]));
        accepts(check, &queue(&[(S, true), (S, true), (X, false), (S, false)]));
        accepts(check, &queue(&[(P, true), (P, true), (P, false)]));
        let mut handed = queue(&[(X, true), (S, false), (S, false), (X, false)]);
        handed.entries.insert(5, leaves("l", 1, 1, 5, &[("l", 2, 2), ("l", 3, 3)]));
        // The one in the middle goes; the first asks once more, and keeps its place.
        handed.entries.insert(6, leaves("l", 3, 3, 6, &[]));
        handed.entries.insert(7, Entry { claimed: vec![("l".into(), 2, 2, S)], ..Entry::default() });
        accepts(check, &handed);
    }

    #[test]
    fn who_overtakes_is_rejected() {
        rejects(check, &queue(&[(S, true), (X, false), (S, true)]), "its turn");
        rejects(check, &queue(&[(X, true), (X, true)]), "its turn");
        rejects(check, &queue(&[(P, true), (P, true), (P, true)]), "its turn");
        let mut jumped = queue(&[(X, true), (X, false), (X, false)]);
        jumped.entries.insert(4, leaves("l", 1, 1, 4, &[("l", 3, 3)]));
        rejects(check, &jumped, "token 2 waits");
    }

    #[test]
    fn a_forgotten_waiter_is_rejected() {
        rejects(check, &queue(&[(X, false)]), "token 1 waits");
        rejects(check, &queue(&[(S, true), (S, false)]), "token 2 waits");
        let mut forgotten = queue(&[(X, true), (X, false)]);
        forgotten.entries.insert(3, leaves("l", 1, 1, 3, &[]));
        rejects(check, &forgotten, "token 2 waits");
    }

    #[test]
    fn who_gave_up_must_be_gone_at_the_end() {
        let mut history = busy(queue(&[(X, true), (X, false)]));
        history.calls =
            vec![call(1, 1, 2, acquire("l", X, 1), token(1)), call(2, 2, 100, acquire("l", X, 2), refused())];
        history.end = 1_000_000_000;
        accepts(check, &history);
        history.end = 100_000_000_000;
        rejects(check, &history, "nobody waited");
        history.calls[1].ended = Ended::Unknown;
        rejects(check, &history, "nobody waited");
        history.calls[1].end = history.end;
        accepts(check, &history);
        history.calls.push(call(1, 200, 300, release("l", 1, 1), done()));
        rejects(check, &history, "still there");
    }

    #[test]
    fn who_gave_up_must_be_gone_soon() {
        let mut history = queue(&[(X, true), (X, false)]);
        history.entries.insert(3, leaves("l", 2, 2, 3, &[]));
        history.calls =
            vec![call(1, 1, 2, acquire("l", X, 1), token(1)), call(2, 2, 100, acquire("l", X, 2), refused())];
        let left_at = |at| {
            let mut history = History { end: 100_000_000_000, ..history.clone() };
            let left = Applied { server: 1, life: 1, at, index: 3, hash: 0, revision: 3, installed: false };
            history.applied.push(left);
            history
        };
        accepts(check, &busy(left_at(20_000_000_000)));
        rejects(check, &busy(left_at(40_000_000_000)), "nobody waited");
        // Nothing was applied at all meanwhile.
        accepts(check, &left_at(40_000_000_000));
    }
}
