//! A read, stale or not, shows exactly the state that the cluster was in at the revision that it names.

use super::Findings;
use super::facts::{Facts, say};
use crate::history::{Action, Answer, Ended, Seen};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for call in &facts.history.calls {
        let Ended::Ok(Answer::Read { found, revision }) = &call.ended else { continue };
        let expected = match &call.action {
            Action::Get { key, .. } => state_of([key.as_str()].into_iter(), facts, *revision),
            Action::List { prefix, .. } => state(facts, prefix, *revision),
            _ => continue,
        };
        if !same(found, &expected) {
            findings.broken(call.end, format!("at revision {revision} there was {expected:?}: {}", say(call)));
        }
    }
}

/// All keys with a prefix at a revision.
pub(super) fn state(facts: &Facts<'_>, prefix: &str, revision: u64) -> Vec<Seen> {
    state_of(facts.keys_under(prefix), facts, revision)
}

/// The same keys, in whatever order.
pub(super) fn same(found: &[Seen], expected: &[Seen]) -> bool {
    let mut sorted: Vec<&Seen> = found.iter().collect();
    sorted.sort_unstable();
    sorted.into_iter().eq(expected)
}

fn state_of<'s>(keys: impl Iterator<Item = &'s str>, facts: &Facts<'_>, revision: u64) -> Vec<Seen> {
    let seen = keys.filter_map(|key| {
        let (value, mod_revision) = facts.value_at(key, revision)?;
        Some(Seen { key: key.into(), value: value.into(), mod_revision })
    });
    seen.collect()
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    fn asked(action: Action, found: &[Seen], revision: u64) -> History {
        let mut history = calls(vec![call(1, 100, 110, action, read(found, revision))]);
        let both = changes(&[version(2, "a/1", Some("y")), version(2, "a/2", Some("z"))]);
        let first = changes(&[version(1, "a/1", Some("x"))]);
        log(&mut history, vec![(10, first), (20, both), (30, changes(&[version(3, "a/1", None)]))]);
        history
    }

    fn list() -> Action {
        Action::List { prefix: "a/".into(), read: Read::Linearizable }
    }

    #[test]
    fn the_state_of_its_revision_is_accepted() {
        accepts(check, &asked(stale("a/1", 0), &[seen("a/1", "x", 1)], 1));
        accepts(check, &asked(get("a/1"), &[], 3));
        accepts(check, &asked(list(), &[seen("a/2", "z", 2), seen("a/1", "y", 2)], 2));
        accepts(check, &asked(get("nothing"), &[], 3));
    }

    #[test]
    fn another_state_is_rejected() {
        rejects(check, &asked(get("a/1"), &[seen("a/1", "y", 2)], 3), "revision 3");
        rejects(check, &asked(get("a/1"), &[seen("a/1", "x", 1)], 2), "revision 2");
        rejects(check, &asked(list(), &[seen("a/1", "y", 2)], 2), "a/2");
        rejects(check, &asked(list(), &[seen("a/1", "x", 1), seen("a/2", "z", 2)], 2), "revision 2");
    }
}
