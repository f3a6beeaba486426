//! A lock's owners are always the longest prefix of its queue that can share: nobody overtakes, no waiter is forgotten, and who gave up waiting is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::facts::{Facts, acquired};
use crate::history::{Action, Answer, Ended, Mode, Time};

/// So long after a wait was given up its claim is withdrawn: an attempt takes as long as the session's TTL at most, and is repeated once.
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
    given_up(facts, &queues, findings);
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

/// At the end a claim is there only if somebody holds it or waits for it, or gave it up a moment ago.
fn given_up(facts: &Facts<'_>, queues: &BTreeMap<&str, Queue>, findings: &mut Findings) {
    let history = facts.history;
    let held: BTreeSet<u64> = acquired(history).map(|(_, token)| token).collect();
    let mut released: BTreeSet<u64> = BTreeSet::new();
    let mut asked: BTreeMap<(&str, u64), Time> = BTreeMap::new();
    for call in &history.calls {
        match (&call.action, &call.ended) {
            (Action::Release { token, .. }, Ended::Ok(_)) => {
                released.insert(*token);
            }
            (Action::Acquire { .. }, Ended::Ok(Answer::Token { .. })) => {}
            (Action::Acquire { lock, session, .. }, _) => {
                let last = asked.entry((lock, *session)).or_default();
                *last = call.end.max(*last);
            }
            _ => {}
        }
    }
    for (name, queue) in queues {
        for token in queue.keys() {
            let session = facts.claims[token].session;
            if released.contains(token) {
                findings.broken(history.end, format!("{name}: token {token} was released and is still there"));
            } else if let Some(last) = asked.get(&(*name, session)).filter(|_| !held.contains(token))
                && last.saturating_add(WITHDRAWN_AFTER) < history.end
            {
                findings.broken(
                    history.end,
                    format!("{name}: token {token} is still there, and nobody waits for it any more"),
                );
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
        let mut history = queue(&[(X, true), (X, false)]);
        history.calls =
            vec![call(1, 1, 2, acquire("l", X, 1), token(1)), call(2, 2, 100, acquire("l", X, 2), refused())];
        history.end = 1_000_000_000;
        accepts(check, &history);
        history.end = 100_000_000_000;
        rejects(check, &history, "nobody waits");
        history.calls[1].ended = Ended::Unknown;
        rejects(check, &history, "nobody waits");
        history.calls[1].end = history.end;
        accepts(check, &history);
        history.calls.push(call(1, 200, 300, release("l", 1, 1), done()));
        rejects(check, &history, "still there");
    }
}
