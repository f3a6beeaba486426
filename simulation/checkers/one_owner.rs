//! A lock's owners can always share it, by the log; and no client believes in its lock while another, that can't share with it, was granted it.
//!
//! What clients believe counts only as long as clocks' rates differ by less than the allowance.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, ms};
use crate::history::{Belief, Mode};

type Owners = BTreeMap<u64, Option<Mode>>;

/// One lock, as the log has told of it so far.
#[derive(Default)]
struct Lock {
    owners: Owners,
    /// The last entries that granted it to anybody, and to anybody but a reader, with the token.
    granted: Option<(u64, u64)>,
    granted_alone: Option<(u64, u64)>,
}

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut locks: BTreeMap<&str, Lock> = BTreeMap::new();
    let mut beliefs: Vec<&Belief> = facts.history.beliefs.iter().collect();
    beliefs.sort_by_key(|belief| belief.at);
    let mut beliefs = beliefs.into_iter().filter(|_| facts.history.clocks_within_allowance).peekable();
    let mut now = 0;
    for (&index, entry) in &facts.history.entries {
        // Where an entry's moment isn't known, it is that of the one before.
        now = facts.applied_at(index).unwrap_or(now).max(now);
        while let Some(belief) = beliefs.next_if(|belief| belief.at < now) {
            believes(facts, &locks, belief, findings);
        }
        let mut touched = Vec::new();
        for (name, _, token) in &entry.granted {
            let lock = locks.entry(name).or_default();
            let claim = &facts.claims[token];
            if claim.granted != Some(index) || claim.ended.is_some_and(|ended| ended < index) {
                findings.broken(now, format!("{name}: token {token} was granted once more in entry {index}"));
            }
            lock.owners.insert(*token, claim.mode);
            lock.granted = Some((index, *token));
            if claim.mode.is_some_and(|mode| mode != Mode::Shared) {
                lock.granted_alone = lock.granted;
            }
            touched.push(name);
        }
        for (name, _, token) in &entry.ended {
            if let Some(lock) = locks.get_mut(name.as_str()) {
                lock.owners.remove(token);
            }
        }
        for name in touched {
            let owners = &locks[name.as_str()].owners;
            if !share(owners) {
                findings.broken(now, format!("{name}: after entry {index} these own it together: {}", list(owners)));
            }
        }
    }
    for belief in beliefs {
        believes(facts, &locks, belief, findings);
    }
}

fn share(owners: &Owners) -> bool {
    let mut known = owners.values().flatten();
    match known.next() {
        None => true,
        Some(Mode::Exclusive) => owners.len() == 1,
        Some(Mode::Shared) => known.all(|mode| *mode == Mode::Shared),
        Some(Mode::Permits(permits)) => {
            owners.len() <= *permits as usize && known.all(|mode| matches!(mode, Mode::Permits(_)))
        }
    }
}

fn believes(facts: &Facts<'_>, locks: &BTreeMap<&str, Lock>, belief: &Belief, findings: &mut Findings) {
    let Belief { client, lock: name, mode, token, at } = belief;
    let who = || format!("client {client} believed at {} that it owns {name} by token {token}", ms(*at));
    if facts.history.entries.is_empty() {
        return;
    }
    let claim = facts.claims.get(token).filter(|claim| claim.name == name);
    let granted =
        claim.and_then(|claim| claim.granted).filter(|index| facts.applied_at(*index).is_none_or(|then| then <= *at));
    let (Some(lock), Some(_), Some(claim)) = (locks.get(name.as_str()), granted, claim) else {
        findings.broken(*at, format!("{}, which wasn't granted then", who()));
        return;
    };
    if lock.owners.contains_key(token) {
        return;
    }
    let ended = claim.ended.unwrap_or_default();
    let other = match mode {
        Mode::Exclusive => lock.granted,
        Mode::Shared => lock.granted_alone,
        Mode::Permits(permits) => lock.granted.filter(|_| lock.owners.len() >= *permits as usize),
    };
    if let Some((index, other)) = other.filter(|(index, other)| *index >= ended && other != token) {
        findings.broken(*at, format!("{}, and entry {index} had granted it to token {other}", who()));
    }
}

fn list(owners: &Owners) -> String {
    let owners = owners.iter().map(|(token, mode)| match mode {
        Some(mode) => format!("{token} ({mode:?})"),
        None => token.to_string(),
    });
    owners.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const X: Mode = Mode::Exclusive;

    fn granted(modes: &[Mode]) -> History {
        let mut history = calls(vec![]);
        log(&mut history, (1..).zip(modes).map(|(n, mode)| (n * 10, claims("l", n, n, *mode, true))).collect());
        history
    }

    /// Token 1 until 20, then token 2.
    fn handed_over() -> History {
        let mut history = calls(vec![]);
        log(
            &mut history,
            vec![
                (10, claims("l", 1, 1, X, true)),
                (15, claims("l", 2, 2, X, false)),
                (20, leaves("l", 1, 1, 3, &[("l", 2, 2)])),
            ],
        );
        history
    }

    fn believed(at: u64, token: u64) -> History {
        let beliefs = vec![Belief { client: 1, lock: "l".into(), mode: X, token, at }];
        History { beliefs, ..handed_over() }
    }

    #[test]
    fn owners_that_share_are_accepted() {
        accepts(check, &handed_over());
        accepts(check, &granted(&[Mode::Shared, Mode::Shared, Mode::Shared]));
        accepts(check, &granted(&[Mode::Permits(2), Mode::Permits(2)]));
    }

    #[test]
    fn owners_that_cannot_share_are_rejected() {
        for modes in [
            &[X, X][..],
            &[X, Mode::Shared],
            &[Mode::Shared, X],
            &[Mode::Permits(1), Mode::Permits(1)],
            &[Mode::Shared, Mode::Permits(3)],
        ] {
            rejects(check, &granted(modes), "together");
        }
        let mut again = handed_over();
        again.entries.get_mut(&3).unwrap().granted.push(("l".into(), 1, 1));
        rejects(check, &again, "once more");
    }

    #[test]
    fn belief_before_another_is_granted_is_accepted() {
        accepts(check, &believed(19, 1));
        accepts(check, &believed(20, 2));
        accepts(check, &believed(99, 2));
        // Nobody promises it to clocks that run wild.
        let wild = History { clocks_within_allowance: false, ..believed(30, 1) };
        accepts(check, &wild);
        // Over, and nobody else has it yet.
        let mut free = believed(30, 1);
        free.entries.get_mut(&3).unwrap().granted.clear();
        accepts(check, &free);
    }

    #[test]
    fn belief_while_another_was_granted_is_rejected() {
        rejects(check, &believed(20, 1), "token 2");
        rejects(check, &believed(99, 1), "token 2");
        rejects(check, &believed(12, 2), "wasn't granted then");
        rejects(check, &believed(30, 7), "wasn't granted then");
    }

    #[test]
    fn a_reader_that_believes_while_a_writer_was_granted_is_rejected() {
        let mut history = calls(vec![]);
        log(
            &mut history,
            vec![
                (10, claims("l", 1, 1, Mode::Shared, true)),
                (20, leaves("l", 1, 1, 2, &[])),
                (30, claims("l", 2, 3, Mode::Shared, true)),
                (40, leaves("l", 2, 3, 4, &[])),
                (50, claims("l", 3, 5, X, true)),
            ],
        );
        let at = |at| vec![Belief { client: 1, lock: "l".into(), mode: Mode::Shared, token: 1, at }];
        history.beliefs = at(35);
        accepts(check, &history);
        history.beliefs = at(50);
        rejects(check, &history, "token 5");
    }
}
