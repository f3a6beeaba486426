//! A watcher is told every change of its range once, in order, in whole revisions, and nothing that isn't so: nothing uncommitted or from the future, no gap, no
//! progress ahead of what it was told; a snapshot is the state of its revision, and history is missing only if somebody compacted it.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, ms};
use super::reads;
use crate::history::{Action, Ended, Told, Version, Watch};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut expected: BTreeMap<&str, Vec<&Version>> = BTreeMap::new();
    for watch in &facts.history.watches {
        let changes = expected.entry(&watch.prefix).or_insert_with(|| {
            let all = facts.versions.iter().map(|(_, version)| *version);
            let mut all: Vec<&Version> = all.filter(|version| version.key.starts_with(&watch.prefix)).collect();
            all.sort();
            all
        });
        let mut following =
            Following { facts, watch, changes, next: (watch.from > 0).then_some(watch.from), over: false };
        for (at, told) in &watch.told {
            if let Err(wrong) = following.told(*at, told) {
                findings.broken(*at, format!("{}: {wrong}", following.who()));
                following.over = true;
                break;
            }
        }
        if let Some(missing) = following.missing() {
            findings.broken(facts.history.end, format!("{}: never told of {missing:?}", following.who()));
        }
    }
}

/// One watch, and how far it has come.
struct Following<'a> {
    facts: &'a Facts<'a>,
    watch: &'a Watch,
    /// All changes of its range.
    changes: &'a [&'a Version],
    /// The first revision of which it wasn't told; `None` as long as nobody can know.
    next: Option<u64>,
    over: bool,
}

impl Following<'_> {
    fn who(&self) -> String {
        let Watch { client, start, prefix, from, snapshot, .. } = self.watch;
        let how = if *snapshot { ", snapshot first" } else { "" };
        format!("client {client}'s watch of {prefix:?} from {from}{how}, begun at {}", ms(*start))
    }

    fn told(&mut self, at: u64, told: &Told) -> Result<(), String> {
        if self.over {
            return Err(format!("told something after its end: {told:?}"));
        }
        let future = |revision| self.facts.newest_at(at).is_some_and(|newest| revision > newest);
        match told {
            Told::Snapshot { revision, .. } | Told::Progress { revision } if future(*revision) => {
                Err(format!("revision {revision} was nowhere applied yet: {told:?}"))
            }
            Told::Snapshot { revision, found } => self.snapshot(*revision, found),
            Told::Progress { revision } => self.progress(*revision),
            Told::Events(events) => match events.iter().find(|event| future(event.revision)) {
                Some(event) => Err(format!("nowhere applied yet: {event:?}")),
                None => self.events(events),
            },
            Told::Compacted { oldest } => {
                self.over = true;
                self.compacted(at, *oldest)
            }
            Told::Failed(_) => {
                self.over = true;
                Ok(())
            }
        }
    }

    fn snapshot(&mut self, revision: u64, found: &[crate::history::Seen]) -> Result<(), String> {
        if !self.watch.snapshot {
            return Err("a snapshot that it didn't ask for".to_owned());
        }
        if self.next.is_some_and(|next| revision + 1 < next) {
            return Err(format!("a snapshot of revision {revision}, which is older than what it was told"));
        }
        let expected = reads::state(self.facts, &self.watch.prefix, revision);
        if !reads::same(found, &expected) {
            return Err(format!("its snapshot of revision {revision} has {found:?}, and there was {expected:?}"));
        }
        self.next = Some(revision + 1);
        Ok(())
    }

    fn progress(&mut self, revision: u64) -> Result<(), String> {
        if let Some(missing) =
            self.after().first().filter(|missing| self.next.is_some() && missing.revision <= revision)
        {
            return Err(format!("progress to {revision}, and it was never told of {missing:?}"));
        }
        self.next = Some(self.next.unwrap_or_default().max(revision + 1));
        Ok(())
    }

    fn events(&mut self, events: &[Version]) -> Result<(), String> {
        let Some(first) = events.first() else { return Ok(()) };
        if self.watch.snapshot && self.next.is_none() {
            return Err("events before the snapshot".to_owned());
        }
        if let Some(again) = events.iter().find(|event| self.next.is_some_and(|next| event.revision < next)) {
            return Err(format!("told once more, or too old: {again:?}"));
        }
        if let Some(pair) = events.windows(2).find(|pair| pair[0].revision > pair[1].revision) {
            return Err(format!("out of order: {pair:?}"));
        }
        self.next.get_or_insert(first.revision);
        let mut told: Vec<&Version> = events.iter().collect();
        told.sort();
        let last = told.last().map_or(0, |event| event.revision);
        let due = self.after();
        let due = &due[..due.partition_point(|change| change.revision <= last)];
        for (place, event) in told.iter().enumerate() {
            match due.get(place) {
                Some(change) if change == event => {}
                Some(change) if *change < *event => return Err(format!("told of {event:?} and not of {change:?}")),
                _ => return Err(format!("no such change was ever committed: {event:?}")),
            }
        }
        if let Some(missing) = due.get(told.len()) {
            return Err(format!("revision {last} without {missing:?}"));
        }
        self.next = Some(last + 1);
        Ok(())
    }

    fn compacted(&self, at: u64, oldest: u64) -> Result<(), String> {
        let compactions =
            self.facts.history.calls.iter().filter(|call| call.start <= at && !matches!(call.ended, Ended::Refused(_)));
        let revisions = compactions.filter_map(|call| match call.action {
            Action::Compact { revision } => Some(revision),
            _ => None,
        });
        let gone = revisions.max().unwrap_or_default();
        if gone == 0 || oldest > gone + 1 {
            return Err(format!(
                "revisions below {oldest} are said to be compacted, and nobody compacted beyond {gone}"
            ));
        }
        match self.next.filter(|next| *next > gone) {
            Some(next) => Err(format!("it needed revision {next}, and nobody compacted beyond {gone}")),
            None => Ok(()),
        }
    }

    /// Changes that it wasn't told of.
    fn after(&self) -> &[&Version] {
        let next = self.next.unwrap_or_default();
        &self.changes[self.changes.partition_point(|change| change.revision < next)..]
    }

    /// A change of which it must have been told by the end.
    fn missing(&self) -> Option<&Version> {
        let complete = self.watch.to_the_end && !self.over && self.next.is_some();
        let until = self.facts.last_revision();
        self.after().first().copied().filter(|missing| complete && missing.revision <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    fn v(revision: u64, key: &str, value: &str) -> Version {
        version(revision, key, Some(value))
    }

    /// Revisions 1 to 5, of which `a/` has 1, 3 (twice) and 5; each at ten times its number.
    fn watched(from: u64, snapshot: bool, told: Vec<(Time, Told)>, to_the_end: bool) -> History {
        let mut history = calls(vec![call(1, 25, 26, Action::Compact { revision: 2 }, wrote(2))]);
        log(
            &mut history,
            vec![
                (10, changes(&[v(1, "a/1", "x")])),
                (20, changes(&[v(2, "b", "y")])),
                (30, changes(&[v(3, "a/1", "z"), v(3, "a/2", "w")])),
                (40, changes(&[v(4, "b", "q")])),
                (50, changes(&[version(5, "a/1", None)])),
            ],
        );
        history.watches = vec![Watch { client: 1, start: 5, prefix: "a/".into(), from, snapshot, told, to_the_end }];
        history
    }

    fn one() -> Told {
        Told::Events(vec![v(1, "a/1", "x")])
    }
    fn three() -> Told {
        Told::Events(vec![v(3, "a/1", "z"), v(3, "a/2", "w")])
    }
    fn five() -> Told {
        Told::Events(vec![version(5, "a/1", None)])
    }
    fn progress(revision: u64) -> Told {
        Told::Progress { revision }
    }

    fn from_one(told: Vec<Told>) -> History {
        watched(1, false, told.into_iter().map(|told| (60, told)).collect(), true)
    }

    #[test]
    fn everything_once_and_in_order_is_accepted() {
        accepts(check, &from_one(vec![one(), progress(2), three(), progress(4), five(), progress(5), progress(5)]));
        let together = vec![v(1, "a/1", "x"), v(3, "a/2", "w"), v(3, "a/1", "z"), version(5, "a/1", None)];
        accepts(check, &from_one(vec![Told::Events(together)]));
        // From now on, whenever that was.
        accepts(check, &watched(0, false, vec![(35, three()), (55, five())], true));
        accepts(check, &watched(0, false, vec![(35, progress(3)), (55, five())], true));
        // Not to the end.
        accepts(check, &watched(1, false, vec![(35, one())], false));
        let found = vec![seen("a/1", "z", 3), seen("a/2", "w", 3)];
        let snapshot = Told::Snapshot { revision: 4, found };
        accepts(check, &watched(0, true, vec![(45, snapshot.clone()), (46, snapshot), (55, five())], true));
        accepts(check, &watched(1, false, vec![(30, Told::Compacted { oldest: 3 })], true));
    }

    #[test]
    fn twice_or_out_of_order_is_rejected() {
        rejects(check, &from_one(vec![one(), one(), three(), five()]), "once more");
        rejects(check, &from_one(vec![one(), three(), three(), five()]), "once more");
        rejects(check, &from_one(vec![progress(2), one()]), "progress to 2");
        rejects(check, &watched(2, false, vec![(60, one())], false), "too old");
        let mixed = vec![v(3, "a/1", "z"), v(3, "a/2", "w"), v(1, "a/1", "x")];
        rejects(check, &from_one(vec![Told::Events(mixed)]), "out of order");
    }

    #[test]
    fn a_gap_is_rejected() {
        rejects(check, &from_one(vec![three(), five()]), "not of");
        rejects(check, &from_one(vec![one(), five()]), "not of");
        rejects(check, &from_one(vec![one(), three()]), "never told");
        rejects(check, &from_one(vec![]), "never told");
        rejects(check, &from_one(vec![one(), progress(3)]), "progress to 3");
    }

    /// From a round of torture: the keyspace was read, the watches that stayed had seen all up to there, and then a server still made a write whose
    /// caller had long given up.
    #[test]
    fn what_came_after_the_last_read_was_not_waited_for() {
        let mut history = from_one(vec![one(), three()]);
        history.last_revision = 4;
        accepts(check, &history);
        history.last_revision = 5;
        rejects(check, &history, "never told");
        let mut history = from_one(vec![one()]);
        history.last_revision = 4;
        rejects(check, &history, "never told");
    }

    #[test]
    fn half_a_revision_is_rejected() {
        rejects(check, &from_one(vec![one(), Told::Events(vec![v(3, "a/1", "z")])]), "without");
        rejects(check, &from_one(vec![one(), Told::Events(vec![v(3, "a/2", "w")])]), "not of");
    }

    #[test]
    fn what_was_never_committed_or_not_yet_is_rejected() {
        rejects(check, &from_one(vec![one(), Told::Events(vec![v(2, "a/1", "?")])]), "ever committed");
        rejects(check, &from_one(vec![Told::Events(vec![v(1, "a/1", "?")])]), "ever committed");
        rejects(check, &watched(1, false, vec![(9, one())], false), "nowhere applied");
        rejects(check, &watched(1, false, vec![(15, one()), (25, progress(3))], false), "nowhere applied");
    }

    #[test]
    fn a_wrong_snapshot_is_rejected() {
        let snapshot = |revision, found: &[Seen]| (60, Told::Snapshot { revision, found: found.to_vec() });
        rejects(check, &watched(0, true, vec![snapshot(3, &[seen("a/1", "x", 1)])], false), "there was");
        rejects(check, &watched(0, true, vec![(60, three())], false), "before the snapshot");
        rejects(check, &watched(1, false, vec![snapshot(0, &[])], false), "didn't ask");
        let back = vec![snapshot(5, &[seen("a/2", "w", 3)]), snapshot(2, &[seen("a/1", "x", 1)])];
        rejects(check, &watched(0, true, back, false), "older");
    }

    #[test]
    fn compaction_that_nobody_asked_for_is_rejected() {
        let told = |at, oldest| vec![(15, one()), (at, Told::Compacted { oldest })];
        accepts(check, &watched(1, false, told(30, 3), true));
        rejects(check, &watched(1, false, told(20, 3), true), "nobody compacted");
        rejects(check, &watched(1, false, told(30, 5), true), "nobody compacted");
        rejects(check, &watched(3, false, vec![(60, Told::Compacted { oldest: 3 })], true), "it needed");
        rejects(check, &from_one(vec![one(), Told::Failed("?".into()), three()]), "after its end");
    }
}
