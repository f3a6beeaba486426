//! Revisions follow real time: each is made once, a write that ended before another began has the smaller one, and a read shows none older than
//! what was known before it began, nor one that wasn't made yet.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, say};
use crate::history::{Action, Answer, Call, Ended, Read, Time};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    consecutive(facts, findings);
    let mut known = known(&facts.history.calls).into_iter().peekable();
    let mut newest = (0, None);
    let mut made: BTreeMap<u64, &Call> = BTreeMap::new();
    let mut calls: Vec<&Call> = facts.history.calls.iter().collect();
    calls.sort_by_key(|call| call.start);
    for call in calls {
        while let Some((_, revision, from)) = known.next_if(|(end, ..)| *end < call.start) {
            if revision > newest.0 {
                newest = (revision, Some(from));
            }
        }
        let Some(revision) = revision(call) else { continue };
        if wrote(call) {
            if let Some(other) = made.insert(revision, call) {
                findings.broken(call.end, format!("one revision for two: {}; {}", say(other), say(call)));
            }
            if revision <= newest.0 {
                older(call, newest, findings);
            }
        } else if let Some(min) = min_revision(call) {
            if revision < min {
                findings.broken(call.end, format!("behind the smallest revision that was asked for: {}", say(call)));
            }
        } else if revision < newest.0 {
            older(call, newest, findings);
        }
        if facts.newest_at(call.end).is_some_and(|newest| newest < revision) {
            findings.broken(call.end, format!("nobody had applied revision {revision} yet: {}", say(call)));
        }
        if let Ended::Ok(Answer::Read { found, .. }) = &call.ended
            && found.iter().any(|seen| seen.mod_revision > revision)
        {
            findings.broken(call.end, format!("a version newer than the read: {}", say(call)));
        }
    }
}

fn older(call: &Call, (newest, from): (u64, Option<&Call>), findings: &mut Findings) {
    let from = from.map(say).unwrap_or_default();
    findings
        .broken(call.end, format!("revision {newest} was known before this began: {}; known from {from}", say(call)));
}

/// What was known when: ends of calls, in order, with the newest revision that each showed.
fn known(calls: &[Call]) -> Vec<(Time, u64, &Call)> {
    let mut known: Vec<_> = calls.iter().filter_map(|call| Some((call.end, shown(call)?, call))).collect();
    known.sort_by_key(|(end, ..)| *end);
    known
}

fn shown(call: &Call) -> Option<u64> {
    match &call.ended {
        Ended::Ok(Answer::Token { token }) => Some(*token),
        _ => revision(call),
    }
}

fn revision(call: &Call) -> Option<u64> {
    match &call.ended {
        // That was the caller's.
        _ if matches!(call.action, Action::Compact { .. }) => None,
        Ended::Ok(
            Answer::Wrote { revision }
            | Answer::Unchanged { revision }
            | Answer::Read { revision, .. }
            | Answer::Queue { revision, .. },
        ) => Some(*revision),
        _ => None,
    }
}

fn wrote(call: &Call) -> bool {
    matches!(call.ended, Ended::Ok(Answer::Wrote { .. }))
}

fn min_revision(call: &Call) -> Option<u64> {
    match &call.action {
        Action::Get { read: Read::Stale { min_revision }, .. }
        | Action::List { read: Read::Stale { min_revision }, .. } => Some(*min_revision),
        _ => None,
    }
}

/// In the log, revisions go on by one, those of one entry and of one change after the other.
fn consecutive(facts: &Facts<'_>, findings: &mut Findings) {
    for pair in facts.versions.windows(2) {
        let ((before_in, before), (index, version)) = (pair[0], pair[1]);
        let again = version.revision == before.revision && before_in == index;
        if !again && version.revision != before.revision + 1 {
            let what = format!("revision {} in entry {index} follows revision {}", version.revision, before.revision);
            findings.broken(facts.shown_at(index), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    #[test]
    fn revisions_in_the_order_of_time_are_accepted() {
        accepts(
            check,
            &calls(vec![
                call(1, 10, 20, put("a", "x"), wrote(1)),
                call(1, 30, 40, get("a"), read(&[seen("a", "x", 1)], 1)),
                // Together, in either order.
                call(1, 50, 70, put("a", "y"), wrote(3)),
                call(2, 55, 65, put("b", "z"), wrote(2)),
                call(3, 60, 68, get("c"), read(&[], 1)),
                // Old, as it was asked.
                call(3, 80, 90, stale("a", 1), read(&[seen("a", "x", 1)], 2)),
                call(3, 80, 90, swap("a", None, "?"), unchanged(3)),
                call(4, 95, 99, Action::Compact { revision: 1 }, wrote(1)),
            ]),
        );
    }

    #[test]
    fn a_revision_that_goes_back_is_rejected() {
        let first = || call(1, 10, 20, put("a", "x"), wrote(5));
        let after = |action, ended| calls(vec![first(), call(2, 21, 30, action, ended)]);
        rejects(check, &after(put("b", "y"), wrote(4)), "known before");
        rejects(check, &after(put("b", "y"), wrote(5)), "two");
        rejects(check, &after(get("a"), read(&[], 4)), "known before");
        rejects(check, &after(describe("l"), owners(&[], 4)), "known before");
        rejects(check, &after(swap("a", None, "z"), unchanged(4)), "known before");
        rejects(check, &after(stale("a", 5), read(&[], 4)), "smallest revision");
    }

    #[test]
    fn what_another_reader_saw_is_known() {
        let history = calls(vec![
            call(1, 10, 90, put("a", "x"), wrote(5)),
            call(2, 20, 30, stale("a", 0), read(&[seen("a", "x", 5)], 5)),
            call(3, 40, 50, get("a"), read(&[], 4)),
        ]);
        rejects(check, &history, "known before");
        let token = calls(vec![
            call(1, 1, 2, acquire("l", Mode::Exclusive, 1), token(9)),
            call(2, 3, 4, get("a"), read(&[], 8)),
        ]);
        rejects(check, &token, "known before");
    }

    #[test]
    fn the_future_is_rejected() {
        let mut history = calls(vec![call(1, 10, 20, stale("a", 0), read(&[], 1))]);
        log(&mut history, vec![(30, changes(&[version(1, "a", Some("x"))]))]);
        rejects(check, &history, "yet");
        let newer = calls(vec![call(1, 10, 20, get("a"), read(&[seen("a", "x", 3)], 2))]);
        rejects(check, &newer, "newer than the read");
    }

    #[test]
    fn revisions_that_jump_or_come_again_are_rejected() {
        for second in [1, 3, 5] {
            let mut history = calls(vec![]);
            let [first, second] = [3, second].map(|revision| changes(&[version(revision, "a", Some("x"))]));
            log(&mut history, vec![(1, first), (2, second)]);
            rejects(check, &history, "follows revision 3");
        }
    }
}
