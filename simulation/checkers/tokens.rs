//! Tokens strictly grow: each claim's is greater than that of every claim made before it, under any name, through snapshots, restarts and changes of
//! leader; and no two claims share one.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, acquired, say};
use crate::history::{Action, Answer, Call, Ended, Time};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    log(facts, findings);
    clients(facts, findings);
}

/// What the log granted.
fn log(facts: &Facts<'_>, findings: &mut Findings) {
    let mut claims: BTreeMap<u64, (&str, u64)> = BTreeMap::new();
    let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut newest = 0;
    for (&index, entry) in &facts.history.entries {
        let at = facts.shown_at(index);
        newest = entry.changes.iter().map(|version| version.revision).fold(newest, u64::max);
        for (name, session, token) in &entry.granted {
            if claims.insert(*token, (name, *session)).is_some_and(|other| other != (name.as_str(), *session)) {
                findings.broken(at, format!("token {token} was given twice, at last for {name} in entry {index}"));
            }
            if *token > newest {
                findings.broken(at, format!("token {token} of {name} is no revision that was made by entry {index}"));
            }
            let before = latest.insert(name, *token);
            if let Some(before) = before.filter(|before| before >= token) {
                findings
                    .broken(at, format!("{name}: token {token} was granted in entry {index}, after token {before}"));
            }
        }
    }
}

/// What clients were told.
fn clients(facts: &Facts<'_>, findings: &mut Findings) {
    let mut ended = acquired(facts.history).map(|(call, token)| (call.end, token, call)).collect::<Vec<_>>();
    let mut begun = ended.clone();
    ended.sort_by_key(|(end, ..)| *end);
    begun.sort_by_key(|(.., call)| call.start);
    let mut ended = ended.into_iter().peekable();
    let earlier = earlier(&facts.history.calls);
    let mut greatest: Option<(u64, &Call)> = None;
    let mut owners: BTreeMap<u64, (&Call, &str, u64)> = BTreeMap::new();
    for (_, token, call) in begun {
        let Action::Acquire { lock, session, .. } = &call.action else { continue };
        while let Some((_, token, from)) = ended.next_if(|(end, ..)| *end < call.start) {
            if greatest.is_none_or(|(most, _)| token > most) {
                greatest = Some((token, from));
            }
        }
        if let Some((other, ..)) =
            owners.insert(token, (call, lock, *session)).filter(|(_, name, owner)| (*name, *owner) != (lock, *session))
        {
            findings.broken(call.end, format!("token {token} for two: {}; {}", say(other), say(call)));
        }
        let old_claim = earlier.get(&(lock.as_str(), *session)).is_some_and(|first| *first < call.start);
        if let Some((most, from)) = greatest.filter(|(most, _)| *most >= token && !old_claim) {
            let what = format!("token {token}, though token {most} was known before: {}; {}", say(call), say(from));
            findings.broken(call.end, what);
        }
        in_log(facts, call, token, findings);
    }
}

/// Claims may be older than the call that was told of them if another call of the same session asked for the lock before and
/// heard nothing, or heard of the same claim.
fn earlier(calls: &[Call]) -> BTreeMap<(&str, u64), Time> {
    let mut earlier = BTreeMap::new();
    let mut told = BTreeMap::new();
    for call in calls {
        let Action::Acquire { lock, session, .. } = &call.action else { continue };
        let again = match &call.ended {
            Ended::Ok(Answer::Token { token }) => told.insert((lock, *session, *token), ()).is_some(),
            _ => true,
        };
        let first: &mut Time = earlier.entry((lock.as_str(), *session)).or_insert(Time::MAX);
        if again {
            *first = call.start.min(*first);
        }
    }
    earlier
}

fn in_log(facts: &Facts<'_>, call: &Call, token: u64, findings: &mut Findings) {
    let Action::Acquire { lock, session, .. } = &call.action else { return };
    let granted = facts.claims.get(&token).filter(|claim| claim.granted.is_some());
    if !facts.history.entries.is_empty() && granted.is_none_or(|claim| (claim.name, claim.session) != (lock, *session))
    {
        findings.broken(call.end, format!("token {token} was never granted to this session: {}", say(call)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const X: Mode = Mode::Exclusive;

    #[test]
    fn growing_tokens_are_accepted() {
        accepts(
            check,
            &calls(vec![
                call(1, 10, 20, acquire("a", X, 1), token(5)),
                call(1, 30, 40, acquire("b", X, 1), token(7)),
                call(2, 35, 60, acquire("c", X, 2), token(6)),
                // The claim was made by a call that heard nothing.
                call(3, 1, 2, acquire("d", X, 3), Ended::Unknown),
                call(3, 70, 80, acquire("d", X, 3), token(2)),
            ]),
        );
        let mut history = calls(vec![]);
        log(
            &mut history,
            vec![
                (1, claims("l", 1, 1, X, true)),
                (2, claims("l", 2, 2, X, false)),
                (3, leaves("l", 1, 1, 3, &[("l", 2, 2)])),
            ],
        );
        accepts(check, &history);
    }

    #[test]
    fn tokens_that_go_back_are_rejected() {
        let then = |lock, session, ended| {
            calls(vec![
                call(1, 10, 20, acquire("a", X, 1), token(5)),
                call(2, 30, 40, acquire(lock, X, session), ended),
            ])
        };
        rejects(check, &then("a", 2, token(4)), "known before");
        rejects(check, &then("b", 2, token(4)), "known before");
        rejects(check, &then("a", 2, token(5)), "two");
        rejects(check, &then("b", 1, token(5)), "two");
    }

    #[test]
    fn a_log_whose_tokens_go_back_is_rejected() {
        let two = |first: Entry, second: Entry| {
            let mut history = calls(vec![]);
            log(&mut history, vec![(1, first), (2, second)]);
            history
        };
        rejects(check, &two(claims("l", 1, 5, X, true), claims("l", 2, 3, X, true)), "after token 5");
        rejects(check, &two(claims("l", 1, 5, X, true), claims("m", 2, 5, X, true)), "given twice");
        rejects(check, &two(claims("l", 1, 5, X, true), moves(&[("m", 2, 9)], &[])), "no revision");
    }

    #[test]
    fn a_token_that_the_log_does_not_know_is_rejected() {
        for (lock, session, number) in [("l", 1, 8), ("m", 1, 5), ("l", 2, 5)] {
            let mut history = calls(vec![call(1, 10, 20, acquire(lock, X, session), token(number))]);
            log(&mut history, vec![(15, claims("l", 1, 5, X, true))]);
            rejects(check, &history, "never granted");
        }
    }
}
