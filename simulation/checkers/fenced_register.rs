//! What a token protects never goes back: a register takes only tokens that were granted, none lower than one before; and a transaction that a token
//! guards is done only while the token is an owner's.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, say};
use crate::history::{Action, Answer, Call, Ended, Mode};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    register(facts, findings);
    transactions(facts, findings);
}

/// The register outside of the cluster.
fn register(facts: &Facts<'_>, findings: &mut Findings) {
    let accepted = |call: &&Call| matches!(call.action, Action::Register { .. }) && matches!(call.ended, Ended::Ok(_));
    let ended: Vec<&Call> = facts.history.calls.iter().filter(accepted).collect();
    let mut begun = ended.clone();
    begun.sort_by_key(|call| call.start);
    let mut ended = ended.into_iter().peekable();
    let mut highest: BTreeMap<&str, (u64, &Call)> = BTreeMap::new();
    for call in begun {
        while let Some(before) = ended.next_if(|before| before.end < call.start) {
            let Action::Register { lock, token } = &before.action else { continue };
            let highest = highest.entry(lock).or_insert((*token, before));
            if highest.0 < *token {
                *highest = (*token, before);
            }
        }
        let Action::Register { lock, token } = &call.action else { continue };
        if let Some((most, before)) = highest.get(lock.as_str()).filter(|(most, _)| most > token) {
            findings.broken(call.end, format!("token {token} after token {most}: {}; {}", say(before), say(call)));
        }
        let granted = facts.claims.get(token).filter(|claim| claim.name == lock).and_then(|claim| claim.granted);
        let in_time = |index: u64| facts.applied_at(index).is_none_or(|at| at <= call.end);
        if !facts.history.entries.is_empty() && !granted.is_some_and(in_time) {
            findings.broken(call.end, format!("accepted a token that wasn't granted: {}", say(call)));
        }
    }
}

/// The comparison `holds`. Unanswered ones are found in the log by their values.
fn transactions(facts: &Facts<'_>, findings: &mut Findings) {
    let mut made: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (index, version) in &facts.versions {
        if let Some(value) = &version.value {
            made.insert(value, (*index, version.revision));
        }
    }
    let mut writes = Vec::new();
    for call in &facts.history.calls {
        let Action::FencedPut { lock, token, key, value } = &call.action else { continue };
        let answered = match &call.ended {
            Ended::Ok(Answer::Wrote { revision }) => facts.made_in.get(revision).map(|index| (*index, *revision)),
            _ => None,
        };
        let Some((index, revision)) = made.get(value.as_str()).copied().or(answered) else { continue };
        let owned = facts.claims.get(token).is_some_and(|claim| {
            claim.name == lock
                && claim.granted.is_some_and(|granted| granted <= index)
                && claim.ended.is_none_or(|ended| ended >= index)
                && claim.deleted.is_none_or(|deleted| deleted > revision)
                && *token < revision
        });
        if !owned {
            let what =
                format!("revision {revision} was made under token {token}, which was no owner's then: {}", say(call));
            findings.broken(facts.applied_at(index).unwrap_or(call.end), what);
        }
        writes.push((revision, *token, lock, key, call));
    }
    writes.sort_by_key(|(revision, ..)| *revision);
    let mut highest: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (revision, token, lock, key, call) in writes {
        // Readers write in any order.
        if facts.claims.get(&token).is_none_or(|claim| claim.mode != Some(Mode::Exclusive)) {
            continue;
        }
        let highest = highest.entry((lock, key)).or_default();
        if token < *highest {
            findings.broken(
                call.end,
                format!("revision {revision} went back from token {highest} to {token}: {}", say(call)),
            );
        }
        *highest = token.max(*highest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const X: Mode = Mode::Exclusive;

    /// Token 1 until revision 4, token 2 from then on; revisions 3 and 5 are written by whom the calls say.
    fn handed_over(list: Vec<Call>) -> History {
        let mut history = calls(list);
        log(
            &mut history,
            vec![
                (10, claims("l", 1, 1, X, true)),
                (20, claims("l", 2, 2, X, false)),
                (30, changes(&[version(3, "k", Some("v3"))])),
                (40, leaves("l", 1, 1, 4, &[("l", 2, 2)])),
                (50, changes(&[version(5, "k", Some("v5"))])),
            ],
        );
        history
    }

    fn register(client: u32, start: u64, end: u64, token: u64, ended: Ended) -> Call {
        call(client, start, end, Action::Register { lock: "l".into(), token }, ended)
    }

    #[test]
    fn tokens_of_owners_in_order_are_accepted() {
        accepts(
            check,
            &handed_over(vec![
                register(1, 15, 16, 1, done()),
                register(2, 60, 61, 2, done()),
                register(1, 70, 71, 1, refused()),
                call(1, 25, 35, fenced("l", 1, "k", "v3"), wrote(3)),
                call(2, 45, 55, fenced("l", 2, "k", "v5"), Ended::Unknown),
                call(1, 60, 70, fenced("l", 1, "k", "w"), unchanged(5)),
            ]),
        );
        // At once, in either order.
        accepts(check, &handed_over(vec![register(1, 50, 70, 1, done()), register(2, 55, 60, 2, done())]));
    }

    #[test]
    fn a_register_that_goes_back_is_rejected() {
        rejects(
            check,
            &handed_over(vec![register(2, 60, 61, 2, done()), register(1, 70, 71, 1, done())]),
            "after token 2",
        );
    }

    #[test]
    fn a_token_that_was_not_granted_is_rejected() {
        rejects(check, &handed_over(vec![register(1, 70, 71, 9, done())]), "wasn't granted");
        rejects(check, &handed_over(vec![register(2, 25, 26, 2, done())]), "wasn't granted");
    }

    #[test]
    fn a_write_under_a_token_that_is_no_owners_is_rejected() {
        rejects(check, &handed_over(vec![call(1, 45, 55, fenced("l", 1, "k", "v5"), wrote(5))]), "no owner's");
        rejects(check, &handed_over(vec![call(1, 45, 55, fenced("l", 1, "k", "v5"), Ended::Unknown)]), "no owner's");
        rejects(check, &handed_over(vec![call(2, 25, 35, fenced("l", 2, "k", "v3"), wrote(3))]), "no owner's");
        rejects(check, &handed_over(vec![call(2, 25, 35, fenced("m", 1, "k", "v3"), wrote(3))]), "no owner's");
        rejects(check, &handed_over(vec![call(2, 25, 35, fenced("l", 7, "k", "v3"), wrote(3))]), "no owner's");
    }
}
