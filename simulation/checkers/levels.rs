//! The cluster's feature level never goes back, and never is above what a voter understands.

use super::Findings;
use super::facts::Facts;
use crate::history::{History, Server, Time};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let history = facts.history;
    let mut before = 0;
    for (&index, entry) in &history.entries {
        let Some(level) = entry.level else { continue };
        let at = facts.shown_at(index);
        if level <= before {
            findings.broken(at, format!("entry {index} sets feature level {level} after {before}"));
        }
        before = level;
        for (server, understood) in
            voters(history, index).filter_map(|server| Some((server, understood(history, server, at)?)))
        {
            if understood < level {
                let what = format!(
                    "entry {index} raises the feature level to {level}, and voter {server} understands {understood}"
                );
                findings.broken(at, what);
            }
        }
    }
}

/// Who votes by the newest change of voters up to this entry.
fn voters(history: &History, index: u64) -> impl Iterator<Item = Server> + '_ {
    let last = history.voters.partition_point(|voters| voters.index <= index).checked_sub(1);
    last.into_iter().flat_map(|last| history.voters[last].groups.iter().flatten().copied())
}

/// What a server understood at this moment: by its last start before it.
fn understood(history: &History, server: Server, at: Time) -> Option<u32> {
    history.levels.iter().rev().find(|level| level.server == server && level.at <= at).map(|level| level.level)
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    /// Three voters; these starts, and an entry at each of these moments that raises the level.
    fn history(starts: &[(Time, Server, u32)], raised: &[(Time, u32)]) -> History {
        let levels = starts.iter().map(|&(at, server, level)| Level { at, server, level }).collect();
        let voters = vec![Voters { index: 0, groups: vec![vec![1, 2, 3]] }];
        let mut history = History { levels, voters, ..calls(vec![]) };
        let entry = |level| Entry { level: Some(level), ..Entry::default() };
        log(&mut history, raised.iter().map(|&(at, level)| (at, entry(level))).collect());
        history
    }

    const ALL: [(Time, Server, u32); 3] = [(1, 1, 1), (2, 2, 1), (3, 3, 1)];

    #[test]
    fn a_level_that_a_voter_does_not_understand_is_rejected() {
        rejects(check, &history(&[(1, 1, 1), (2, 2, 1), (3, 3, 0)], &[(10, 1)]), "voter 3 understands 0");
        // It learns too late.
        rejects(check, &history(&[(1, 1, 1), (2, 2, 1), (3, 3, 0), (11, 3, 1)], &[(10, 1)]), "voter 3 understands 0");
        accepts(check, &history(&[(1, 1, 1), (2, 2, 1), (3, 3, 0), (9, 3, 1)], &[(10, 1)]));
    }

    #[test]
    fn a_level_that_goes_back_is_rejected() {
        let newest = [(4, 1, 2), (5, 2, 2), (6, 3, 2)];
        rejects(check, &history(&newest, &[(10, 2), (11, 1)]), "level 1 after 2");
        rejects(check, &history(&ALL, &[(10, 1), (11, 1)]), "level 1 after 1");
        accepts(check, &history(&newest, &[(10, 1), (11, 2)]));
    }

    #[test]
    fn who_does_not_vote_does_not_count() {
        accepts(check, &history(&[(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 0)], &[(10, 1)]));
    }
}
