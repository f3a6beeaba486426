//! Who observes an election is told who led it at the revision that is named, and is never told of an older one after that.

use std::collections::BTreeMap;

use super::{Findings, facts::Facts};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for observed in &facts.history.observed {
        let before = last.insert(observed.observer, observed.revision).unwrap_or_default();
        if observed.revision < before {
            let what = format!("an observer was told of revision {before}, and then: {observed:?}");
            findings.broken(observed.at, what);
        }
        let led = leader(facts, &observed.election, observed.revision);
        if observed.leader != led {
            let what = format!("at revision {} the leader was {led:?}: {observed:?}", observed.revision);
            findings.broken(observed.at, what);
        }
    }
}

/// The oldest of the claims that are there at a revision.
fn leader(facts: &Facts<'_>, election: &str, revision: u64) -> Option<u64> {
    let mut there = facts
        .claims
        .range(..=revision)
        .filter(|(_, claim)| claim.name == election && claim.deleted.is_none_or(|deleted| deleted > revision));
    there.next().map(|(token, _)| *token)
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    /// Sessions 1 and 2 stand, the first resigns in revision 3. An observer is told these leaders at these revisions.
    fn observed(told: &[(Option<u64>, u64)]) -> History {
        let mut history = calls(vec![]);
        let first = claims("e", 1, 1, Mode::Exclusive, true);
        let second = claims("e", 2, 2, Mode::Exclusive, false);
        log(&mut history, vec![(10, first), (20, second), (30, leaves("e", 1, 1, 3, &[("e", 2, 2)]))]);
        let told = told.iter().map(|(leader, revision)| Observed {
            client: 1,
            observer: 1,
            at: 100,
            election: "e".into(),
            leader: *leader,
            revision: *revision,
        });
        history.observed = told.collect();
        history
    }

    #[test]
    fn leaders_as_they_were_are_accepted() {
        accepts(check, &observed(&[(None, 0), (Some(1), 1), (Some(1), 2), (Some(2), 3), (Some(2), 3)]));
        accepts(check, &observed(&[(Some(2), 3)]));
    }

    #[test]
    fn another_leader_is_rejected() {
        rejects(check, &observed(&[(Some(2), 2)]), "the leader was Some(1)");
        rejects(check, &observed(&[(Some(1), 3)]), "the leader was Some(2)");
        rejects(check, &observed(&[(None, 3)]), "the leader was Some(2)");
        rejects(check, &observed(&[(Some(1), 0)]), "the leader was None");
    }

    #[test]
    fn going_back_is_rejected() {
        rejects(check, &observed(&[(Some(2), 3), (Some(1), 2)]), "and then");
    }
}
