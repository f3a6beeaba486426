//! All replicas, in all their lives, have the same state after the same entry, and each applies the entries one after the other, each once.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, ms};
use crate::history::Applied;

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut states: BTreeMap<u64, &Applied> = BTreeMap::new();
    let mut lives: BTreeMap<(u64, u32), &Applied> = BTreeMap::new();
    for applied in &facts.history.applied {
        let Applied { server, life, at, index, hash, revision, installed } = applied;
        let first = states.entry(*index).or_insert(applied);
        if (first.hash, first.revision) != (*hash, *revision) {
            let what = format!(
                "after entry {index} server {server} (life {life}) has hash {hash:016x} at revision {revision}, and server {} (life {}) \
                 had hash {:016x} at revision {} at {}",
                first.server,
                first.life,
                first.hash,
                first.revision,
                ms(first.at)
            );
            findings.broken(*at, what);
        }
        if let Some(before) = lives.insert((*server, *life), applied) {
            let after = before.index;
            match installed {
                // A snapshot that is no newer is none of this replica's concern, but does no harm.
                true if *index < after => {
                    findings
                        .broken(*at, format!("server {server} went back from entry {after} to a snapshot of {index}"));
                }
                false if *index <= after => {
                    findings.broken(
                        *at,
                        format!("server {server} applied entry {index} after {after}: twice in life {life}"),
                    );
                }
                false if *index > after + 1 => {
                    findings
                        .broken(*at, format!("server {server} applied entry {index} after {after}: it left some out"));
                }
                _ => {}
            }
            if *revision < before.revision {
                findings
                    .broken(*at, format!("server {server} went back from revision {} to {revision}", before.revision));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::{accepts, rejects};
    use super::check;
    use crate::history::{Applied, History};

    /// Server, life, index, hash, installed; the revision is the index.
    fn replicas(applied: &[(u64, u32, u64, u64, bool)]) -> History {
        let all = (1..).zip(applied).map(|(at, &(server, life, index, hash, installed))| Applied {
            server,
            life,
            at,
            index,
            hash,
            revision: index,
            installed,
        });
        History { applied: all.collect(), ..History::default() }
    }

    #[test]
    fn replicas_that_agree_are_accepted() {
        accepts(check, &replicas(&[(1, 1, 1, 7, false), (2, 1, 1, 7, false), (1, 1, 2, 8, false)]));
        // A new life begins anew, and a snapshot jumps ahead.
        accepts(
            check,
            &replicas(&[(1, 1, 1, 7, false), (1, 1, 2, 8, false), (1, 2, 1, 7, false), (1, 2, 2, 8, false)]),
        );
        accepts(check, &replicas(&[(1, 1, 1, 7, false), (1, 1, 9, 5, true), (1, 1, 10, 6, false)]));
    }

    #[test]
    fn replicas_that_differ_are_rejected() {
        rejects(check, &replicas(&[(1, 1, 1, 7, false), (2, 1, 1, 8, false)]), "hash");
        rejects(check, &replicas(&[(1, 1, 1, 7, false), (1, 2, 1, 8, false)]), "life 2");
        rejects(check, &replicas(&[(1, 1, 4, 7, false), (2, 1, 4, 9, true)]), "hash");
    }

    #[test]
    fn an_entry_applied_twice_or_left_out_is_rejected() {
        rejects(check, &replicas(&[(1, 1, 1, 7, false), (1, 1, 1, 7, false)]), "twice");
        rejects(check, &replicas(&[(1, 1, 1, 7, false), (1, 1, 3, 9, false)]), "left some out");
        rejects(check, &replicas(&[(1, 1, 5, 7, false), (1, 1, 3, 9, true)]), "went back");
    }
}
