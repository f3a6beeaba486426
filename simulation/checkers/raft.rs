//! The log is one: a term has one leader, a vote that was given is never forgotten, quorums before and after a change of members meet, logs that agree on an entry agree on all before it, what was committed
//! never changes and is on a quorum of disks, and a leader has all that was committed before it led.
//!
//! What the logs on disk show of that: they are read at moments, those of one moment together. A term is one leadership, see
//! [`crate::history::term`].

use std::collections::{BTreeMap, HashMap};

use super::Findings;
use super::facts::{Facts, ms};
use crate::history::{History, Led, Log, Time, say_term};

/// Term and content of an entry.
type Entry = (u64, u64);

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    one_leader(&facts.history.leaders, findings);
    votes_kept(facts.history, findings);
    overlapping(facts, findings);
    matching(&facts.history.logs, findings);
    committed(facts, findings);
}

fn one_leader(leaders: &[Led], findings: &mut Findings) {
    let mut of_term: BTreeMap<u64, &Led> = BTreeMap::new();
    for led in leaders {
        let first = of_term.entry(led.term).or_insert(led);
        if first.server != led.server {
            findings.broken(
                led.from,
                format!("servers {} and {} both led in term {}", first.server, led.server, say_term(led.term)),
            );
        }
    }
}

/// What is on a server's disk is never behind a vote that it has answered: it could vote again in that term, for another.
fn votes_kept(history: &History, findings: &mut Findings) {
    for log in &history.logs {
        let given = history.votes.iter().filter(|voted| voted.server == log.server && voted.at <= log.at);
        if let Some(voted) = given.max_by_key(|voted| voted.term).filter(|voted| voted.term > log.vote) {
            let what = format!(
                "server {} voted for {} at {}, and on its disk the last vote is for {}",
                log.server,
                say_term(voted.term),
                ms(voted.at),
                say_term(log.vote)
            );
            findings.broken(log.at, what);
        }
    }
}

/// Any majority before a change of voters and any majority after it share a voter: else both could decide, each for itself.
fn overlapping(facts: &Facts<'_>, findings: &mut Findings) {
    for pair in facts.history.voters.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        // A quorum of two groups has a majority of each, so one pair of groups is enough.
        let meet = before.groups.iter().any(|one| after.groups.iter().any(|other| majorities_meet(one, other)));
        if !meet {
            let what = format!(
                "entry {} changes the voters from {:?} to {:?}, of which two majorities have nobody in common",
                after.index, before.groups, after.groups
            );
            findings.broken(facts.applied_at(after.index).unwrap_or_default(), what);
        }
    }
}

/// No majority of the one group can do without all of a majority of the other.
fn majorities_meet(one: &[u64], other: &[u64]) -> bool {
    let common = one.iter().filter(|voter| other.contains(voter)).count();
    // As few as possible of those who are in both.
    let needs = |group: &[u64]| (group.len() / 2 + 1).saturating_sub(group.len() - common);
    needs(one) + needs(other) > common
}

/// An entry of a term is the same everywhere, and so is the one before it: so all before are.
fn matching(logs: &[Log], findings: &mut Findings) {
    let mut known: HashMap<(u64, u64), (u64, Option<u64>)> = HashMap::new();
    for log in logs {
        let mut before: Option<(u64, u64)> = None;
        for (&index, &(term, hash)) in &log.entries {
            let follows = before.filter(|(last, _)| last + 1 == index).map(|(_, term)| term);
            if follows.is_some_and(|before| before > term) {
                findings.broken(log.at, format!("server {}: terms go back at entry {index}", log.server));
            }
            let (content, predecessor) = known.entry((index, term)).or_insert((hash, follows));
            if *content != hash {
                findings.broken(
                    log.at,
                    format!("server {} has another entry {index} of term {}", log.server, say_term(term)),
                );
            }
            match (*predecessor, follows) {
                (Some(one), Some(other)) if one != other => {
                    let what = format!(
                        "server {}: before entry {index} of term {} comes term {}, elsewhere {}",
                        log.server,
                        say_term(term),
                        say_term(other),
                        say_term(one)
                    );
                    findings.broken(log.at, what);
                }
                (None, _) => *predecessor = follows,
                _ => {}
            }
            before = Some((index, term));
        }
    }
}

fn committed(facts: &Facts<'_>, findings: &mut Findings) {
    // By index: what was committed, and when that was seen first.
    let mut known: BTreeMap<u64, (Entry, Time)> = BTreeMap::new();
    for together in facts.history.logs.chunk_by(|one, other| one.at == other.at) {
        for log in together {
            let behind = log.entries.last_key_value().filter(|(last, _)| **last < log.committed);
            if let Some((last, _)) = behind.filter(|_| !installed(facts, log, log.committed)) {
                let what = format!(
                    "server {}: entry {} counts as committed, and its log ends with {last}",
                    log.server, log.committed
                );
                findings.broken(log.at, what);
            }
            // Each founder writes an entry 0 of its own, and 0 also means that nothing is committed.
            for (&index, &entry) in log.entries.iter().filter(|(index, _)| (1..=log.committed).contains(*index)) {
                let (first, since) = *known.entry(index).or_insert((entry, log.at));
                if first != entry {
                    let what = format!(
                        "server {}: entry {index} was committed as {first:?} at {}, and is {entry:?}",
                        log.server,
                        ms(since)
                    );
                    findings.broken(log.at, what);
                }
            }
        }
        quorum(facts, together, findings);
        for log in together {
            complete(facts, log, &known, findings);
        }
    }
}

/// A snapshot covers this entry there: the log before it goes only later.
fn installed(facts: &Facts<'_>, log: &Log, index: u64) -> bool {
    let mut applied = facts.history.applied.iter().take_while(|applied| applied.at <= log.at);
    applied.any(|applied| applied.server == log.server && applied.installed && applied.index >= index)
}

/// The newest entry that anybody counts as committed is on the disks of a quorum.
fn quorum(facts: &Facts<'_>, together: &[Log], findings: &mut Findings) {
    let voters = &facts.history.voters;
    let Some(newest) =
        together.iter().filter(|log| log.entries.contains_key(&log.committed)).max_by_key(|log| log.committed)
    else {
        return;
    };
    let (index, entry) = (newest.committed, newest.entries[&newest.committed]);
    if index == 0 {
        // Nothing is committed yet.
        return;
    }
    let has = |server: &u64| {
        let log = together.iter().find(|log| log.server == *server);
        // A disk that nobody read may have it. What was purged was there, and so was what a snapshot covers.
        log.is_none_or(|log| {
            log.entries.get(&index) == Some(&entry)
                || log.entries.first_key_value().is_some_and(|(first, _)| *first > index)
                || installed(facts, log, index)
        })
    };
    let quorum = |group: &Vec<u64>| group.iter().filter(|server| has(server)).count() * 2 > group.len();
    // Who votes by that entry, or by a later one that a leader goes by already.
    let by_entry = voters.partition_point(|voters| voters.index <= index).saturating_sub(1);
    if voters.first().is_some_and(|first| first.index <= index)
        && !voters[by_entry..].iter().any(|voters| voters.groups.iter().all(quorum))
    {
        let what =
            format!("entry {index} counts as committed on server {}, and no quorum has it on disk", newest.server);
        findings.broken(newest.at, what);
    }
}

/// A leader's log has all that was committed before its term began.
fn complete(facts: &Facts<'_>, log: &Log, known: &BTreeMap<u64, (Entry, Time)>, findings: &mut Findings) {
    let leads = |led: &&Led| led.server == log.server && led.from <= log.at && log.at <= led.until;
    let Some(led) = facts.history.leaders.iter().filter(leads).max_by_key(|led| led.term) else { return };
    let Some((first, _)) = log.entries.first_key_value() else { return };
    for (index, (entry, since)) in known.range(first..) {
        if *since < led.from && entry.0 < led.term && log.entries.get(index) != Some(entry) {
            let what = format!(
                "server {} leads in term {} without entry {index}, which was committed at {}",
                log.server,
                say_term(led.term),
                ms(*since)
            );
            findings.broken(log.at, what);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::{accepts, rejects};
    use super::check;
    use crate::history::*;

    /// Terms from index 1 on; the content of an entry is its term, unless `other`.
    fn log(server: u64, at: Time, terms: &[u64], committed: u64) -> Log {
        Log { server, at, entries: (1..).zip(terms.iter().map(|term| (*term, *term))).collect(), committed, vote: 0 }
    }

    fn led(server: u64, term: u64, from: Time, until: Time) -> Led {
        Led { server, term, from, until }
    }

    fn history(leaders: &[Led], logs: Vec<Log>) -> History {
        let voters = vec![Voters { index: 0, groups: vec![vec![1, 2, 3]] }];
        History { leaders: leaders.to_vec(), logs, voters, ..History::default() }
    }

    #[test]
    fn logs_that_differ_where_nothing_was_committed_are_accepted() {
        accepts(
            check,
            &history(
                &[led(1, 1, 0, 10), led(2, 2, 11, 30), led(2, 2, 35, 50)],
                vec![
                    log(1, 10, &[1, 1, 1], 2),
                    log(2, 10, &[1, 1], 1),
                    log(3, 10, &[1], 0),
                    log(1, 20, &[1, 1, 1], 2),
                    log(2, 20, &[1, 1, 2], 3),
                    log(3, 20, &[1, 1, 2], 2),
                ],
            ),
        );
    }

    #[test]
    fn two_leaders_of_a_term_are_rejected() {
        rejects(check, &history(&[led(1, 1, 0, 10), led(2, 1, 20, 30)], vec![]), "both led");
    }

    #[test]
    fn voters_that_are_swapped_at_once_are_rejected() {
        let of = |voters: &[&[&[u64]]]| {
            let groups = |groups: &&[&[u64]]| groups.iter().map(|group| group.to_vec()).collect();
            let voters = (1..).zip(voters).map(|(index, now)| Voters { index, groups: groups(now) });
            History { voters: voters.collect(), ..history(&[], vec![]) }
        };
        accepts(check, &of(&[&[&[1, 2, 3]], &[&[1, 2, 3], &[1, 2, 4]], &[&[1, 2, 4]]]));
        // One more, or one less, needs no joint configuration.
        accepts(check, &of(&[&[&[1, 2, 3]], &[&[1, 2, 3, 4]], &[&[1, 2, 4]], &[&[1, 2]], &[&[1]]]));
        rejects(check, &of(&[&[&[1, 2, 3]], &[&[1, 2, 4]]]), "nobody in common");
        rejects(check, &of(&[&[&[1]], &[&[2]]]), "nobody in common");
        rejects(check, &of(&[&[&[1, 2, 3]], &[&[1, 2, 3, 4, 5]]]), "nobody in common");
    }

    #[test]
    fn a_vote_that_was_forgotten_is_rejected() {
        let voted = |term| vec![Voted { server: 1, term, at: 5 }];
        let of = |server, vote| Log { vote, ..log(server, 10, &[1], 0) };
        let told = |votes, logs| History { votes, ..history(&[], logs) };
        accepts(check, &told(voted(3), vec![of(1, 3), of(2, 2)]));
        // It was asked again, later.
        accepts(check, &told(voted(3), vec![of(1, 4)]));
        // Given after the power was cut.
        let before = Log { at: 4, ..of(1, 2) };
        accepts(check, &told(voted(3), vec![before]));
        rejects(check, &told(voted(3), vec![of(1, 2)]), "voted for");
    }

    #[test]
    fn logs_that_do_not_match_are_rejected() {
        let mut other = log(2, 10, &[1, 1], 0);
        other.entries.insert(2, (1, 99));
        rejects(check, &history(&[], vec![log(1, 10, &[1, 1], 0), other]), "another entry 2");
        rejects(check, &history(&[], vec![log(1, 10, &[1, 1, 3], 0), log(2, 10, &[1, 2, 3], 0)]), "elsewhere");
        rejects(check, &history(&[], vec![log(1, 10, &[2, 1], 0)]), "terms go back");
    }

    #[test]
    fn a_committed_entry_that_changes_is_rejected() {
        let logs = |second: &[u64]| {
            let first = [1, 2, 3].map(|server| log(server, 10, &[1, 1], 2));
            first.into_iter().chain([1, 2, 3].map(|server| log(server, 20, second, 2))).collect::<Vec<_>>()
        };
        accepts(check, &history(&[], logs(&[1, 1, 2])));
        rejects(check, &history(&[], logs(&[1, 2])), "was committed as");
        rejects(check, &history(&[], logs(&[1])), "its log ends");
    }

    #[test]
    fn committed_without_a_quorum_is_rejected() {
        let few = vec![log(1, 10, &[1, 1], 2), log(2, 10, &[1], 1), log(3, 10, &[1], 1)];
        rejects(check, &history(&[], few.clone()), "no quorum");
        // Both groups count while voters are being changed.
        let two = vec![
            log(1, 10, &[1, 1], 2),
            log(2, 10, &[1, 1], 1),
            log(3, 10, &[1], 1),
            log(4, 10, &[1], 0),
            log(5, 10, &[1], 0),
        ];
        let joint = Voters { index: 2, groups: vec![vec![1, 2, 3], vec![3, 4, 5]] };
        let changing = History { voters: vec![joint], ..history(&[], two.clone()) };
        rejects(check, &changing, "no quorum");
        accepts(check, &history(&[], two));
        accepts(check, &History { voters: vec![], ..history(&[], few) });
    }

    #[test]
    fn a_leader_without_what_was_committed_is_rejected() {
        let logs = vec![log(1, 10, &[1, 1], 2), log(2, 10, &[1, 1], 2), log(3, 10, &[1], 1), log(3, 20, &[1, 2], 1)];
        rejects(check, &history(&[led(1, 1, 0, 10), led(3, 2, 15, 30)], logs), "without entry 2");
    }
}
