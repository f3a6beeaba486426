//! The bug bank: mistakes that real systems made, each a mutation of our own sources, which the checkers must find. A suite that finds none of them would find none
//! of ours either.
//!
//! [`EXPECTED`] says of each mistake what it is, which checkers are to find it and under which profile. [`run_bank`] switches them on one after the other and
//! counts the seeds until a promise is seen broken: from several first seeds, since one could be lucky.

use std::{collections::BTreeMap, fmt, thread};

use ringfence_probes::Bug;

use crate::schedule::Profile;

/// What is to become of one mistake.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The mistake.
    pub bug: Bug,
    /// What it is, in a sentence.
    pub what: &'static str,
    /// Checkers, any of which may find it first.
    pub checkers: &'static [&'static str],
    /// The profile under which it shows soon.
    pub profile: Profile,
    /// It shows within a few seeds: one for the quick half.
    pub quick: bool,
}

/// Makes the table from lines.
macro_rules! expected {
    ($($bug:ident, $profile:ident, $quick:literal, [$($checker:literal),*], $what:literal;)*) => {
        &[$(Expected {
            bug: Bug::$bug,
            what: $what,
            checkers: &[$($checker),*],
            profile: Profile::$profile,
            quick: $quick,
        },)*]
    };
}

/// All mistakes.
pub const EXPECTED: &[Expected] = expected! {
    VoteBeforeSync, Storm, true, ["raft", "durability"], "A vote is answered before it is synced: after a power cut it is given again.";
    AppendBeforeSync, Storm, true, ["raft", "durability", "replicas"], "An append is acknowledged before it is synced: a power cut takes what was committed.";
    SyncErrorIgnored, Disk, true, ["raft", "durability", "liveness"], "A sync's error is ignored: what it forgot counts as written.";
    LocalReadOnFormerLeader, Network, true, ["revision_order", "linearizable_keys"], "Who believes that it leads answers linearizable reads without asking a quorum.";
    LeaseNotCarriedOver, Default, true, ["leases", "liveness"], "A new leader's clock begins anew: sessions of the dead live on.";
    ExpiryByFollowersClock, Default, true, ["replicas"], "Each replica expires sessions by its own clock.";
    RenewalFromReceipt, Network, true, ["one_owner", "leases"], "The client counts a lease from when the renewal's answer came.";
    TokenResetBySnapshot, Default, true, ["tokens", "replicas"], "A snapshot forgets the counter that tokens come from.";
    QueueMissingInSnapshot, Default, true, ["replicas", "one_owner", "queue_order"], "A snapshot forgets the queues.";
    RetriesMissingInSnapshot, Storm, false, ["replicas", "one_effect"], "A snapshot forgets the remembered replies.";
    NoRetryTable, Network, true, ["one_effect", "linearizable_keys"], "Replies aren't remembered: a retry is done again.";
    WatchResumesLate, Network, true, ["watches"], "A watch resumes one revision too late.";
    WatchResumesEarly, Network, true, ["watches"], "A watch resumes one revision too early.";
    UncommittedEvent, Default, true, ["watches"], "An event is delivered before its entry is committed.";
    ProgressAhead, Default, true, ["watches"], "Progress is told ahead of events that are still to be sent.";
    AppliedTwiceAfterRestart, Storm, true, ["replicas"], "The last entry of a snapshot is applied once more after a restart.";
    SnapshotInTwoSteps, Default, false, ["revision_order", "linearizable_keys", "reads"], "A snapshot is installed in two steps, and readers see the middle.";
    PurgeBeforeSnapshot, Storm, true, ["durability", "raft", "liveness"], "The log is purged before the snapshot that covers it is durable.";
    VoterSwappedInOneStep, Members, true, ["raft", "durability", "replicas"], "A voter is swapped for another without a joint configuration.";
    HashMapOrder, Default, true, ["replicas"], "What is applied depends on the order of a hash map.";
    ReleaseFreesSuccessor, Default, true, ["one_owner", "queue_order"], "An expired owner's late release frees its successor.";
    CancelledWaiterStays, Default, true, ["queue_order", "liveness"], "A waiter that gave up stays in the queue: only owners are released.";
    ForwardedTwice, Network, false, ["one_effect", "linearizable_keys"], "A forwarded write whose answer is late is sent again.";
    StaleBehindMinRevision, Default, true, ["revision_order", "reads"], "A stale read ignores the smallest revision that was asked for.";
    SemaphoreOneTooMany, Default, true, ["one_owner", "queue_order"], "A semaphore admits one more than it has permits.";
    ReaderOvertakesWriter, Default, true, ["queue_order"], "A reader overtakes a writer that waits.";
    LevelRaisedTooEarly, Storm, false, ["levels"], "The feature level is raised although a member didn't say what it understands.";
};

/// What is expected of a mistake.
#[must_use]
pub fn expected(bug: Bug) -> Option<&'static Expected> {
    EXPECTED.iter().find(|expected| expected.bug == bug)
}

/// How much is tried.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Which mistakes; empty: all.
    pub bugs: Vec<Bug>,
    /// The first seed.
    pub from: u64,
    /// From how many first seeds each is looked for.
    pub starts: u32,
    /// Seeds from each of them, at most.
    pub seeds_max: u64,
    /// Worlds at the same time, each on a thread of its own.
    pub jobs: usize,
}

impl Effort {
    /// All mistakes, from five first seeds, with at most 200 seeds each.
    #[must_use]
    pub fn whole(from: u64, jobs: usize) -> Self {
        Self { bugs: Vec::new(), from, starts: 5, seeds_max: 200, jobs }
    }

    /// Those that show soon, from one first seed.
    #[must_use]
    pub fn quick_half(from: u64, jobs: usize) -> Self {
        let quick = EXPECTED.iter().filter(|expected| expected.quick);
        Self { bugs: quick.map(|expected| expected.bug).collect(), from, starts: 1, seeds_max: 40, jobs }
    }
}

/// One of the searches for a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was seen broken first: the checker's name.
    pub checker: String,
    /// The seed that showed it.
    pub seed: u64,
    /// How many seeds that took, itself included.
    pub seeds: u64,
}

/// What became of one mistake.
#[derive(Clone, Debug)]
pub struct Row {
    /// The mistake.
    pub bug: Bug,
    /// One for each first seed; `None` where it wasn't found.
    pub searches: Vec<Option<Found>>,
}

impl Row {
    /// It was found from the median of the first seeds.
    #[must_use]
    pub fn found(&self) -> bool {
        self.median().is_some()
    }

    /// Seeds that it took in the median; a search without success counts as longer than any.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> =
            self.searches.iter().map(|found| found.as_ref().map_or(u64::MAX, |found| found.seeds)).collect();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().filter(|seeds| *seeds != u64::MAX)
    }

    /// The checker that found it most often.
    #[must_use]
    pub fn checker(&self) -> Option<&str> {
        let mut count: BTreeMap<&str, u32> = BTreeMap::new();
        for found in self.searches.iter().flatten() {
            *count.entry(&found.checker).or_default() += 1;
        }
        count.into_iter().max_by_key(|(_, times)| *times).map(|(checker, _)| checker)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.median().map_or_else(|| "not found".to_owned(), |seeds| seeds.to_string());
        let (checker, times) = (self.checker().unwrap_or("-"), self.searches.iter().flatten().count());
        let seed = self.searches.iter().flatten().map(|found| found.seed).next();
        let seed = seed.map_or_else(String::new, |seed| seed.to_string());
        let of = self.searches.len();
        write!(f, "{:<28}  {checker:<16}  {median:>9}  {times:>3} of {of:<3}  {seed:>9}", self.bug.name())
    }
}

/// The heads of the columns of a [`Row`].
pub const HEAD: &str = "mistake                       found by              seeds    found  with seed";

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    /// In the order in which they were tried.
    pub rows: Vec<Row>,
}

impl Bank {
    /// All mistakes were found.
    #[must_use]
    pub fn all_found(&self) -> bool {
        self.rows.iter().all(Row::found)
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        let found = self.rows.iter().filter(|row| row.found()).count();
        writeln!(f, "{found} of {} found", self.rows.len())
    }
}

/// Looks for each mistake. `broken` runs one seed with a mistake and gives the name of the checker that found something broken first; `told` hears of each row
/// as it comes.
pub fn run_bank(
    effort: &Effort,
    broken: impl Fn(&Expected, u64) -> Option<String> + Sync,
    mut told: impl FnMut(&Row),
) -> Bank {
    let mut bank = Bank::default();
    for expected in EXPECTED.iter().filter(|expected| effort.bugs.is_empty() || effort.bugs.contains(&expected.bug)) {
        // Far apart, so that no seed is looked at twice.
        let starts = (0..u64::from(effort.starts)).map(|start| effort.from + start * effort.seeds_max);
        let searches = starts.map(|from| search(effort, from, &|seed| broken(expected, seed))).collect();
        let row = Row { bug: expected.bug, searches };
        told(&row);
        bank.rows.push(row);
    }
    bank
}

/// Runs a seed with a mistake, so many simulated seconds: the checker that found something broken first. One that finds the seed broken without the mistake too
/// doesn't count.
#[cfg(madsim)]
#[must_use]
pub fn broken(expected: &Expected, seed: u64, seconds: u32) -> Option<String> {
    use crate::run::{Options, run};
    let verdict = |bug| {
        let mut broken =
            run(seed, &Options { profile: expected.profile, seconds, bug, ..Options::default() }).verdict.broken;
        broken.sort_by_key(|broken| broken.at);
        broken.into_iter().map(|broken| broken.checker.to_owned()).collect::<Vec<_>>()
    };
    let found = verdict(Some(expected.bug));
    if found.is_empty() {
        return None;
    }
    let anyway = verdict(None);
    found.into_iter().find(|checker| !anyway.contains(checker))
}

/// The first seed from here on that shows it, whatever the number of jobs.
fn search(effort: &Effort, from: u64, broken: &(impl Fn(u64) -> Option<String> + Sync)) -> Option<Found> {
    let seeds: Vec<u64> = (from..from + effort.seeds_max).collect();
    for some in seeds.chunks(effort.jobs.max(1)) {
        let results: Vec<Option<String>> = thread::scope(|scope| {
            let worlds: Vec<_> = some.iter().map(|seed| scope.spawn(|| broken(*seed))).collect();
            // A panic of the world itself is caught further in; one here is as good as a find.
            worlds.into_iter().map(|world| world.join().unwrap_or_else(|_| Some("panic".to_owned()))).collect()
        });
        for (seed, checker) in some.iter().zip(results) {
            if let Some(checker) = checker {
                return Some(Found { checker, seed: *seed, seeds: seed - from + 1 });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_expected_once() {
        let bugs: Vec<Bug> = EXPECTED.iter().map(|expected| expected.bug).collect();
        assert_eq!(bugs, Bug::ALL);
        assert!(bugs.len() >= 24);
        assert!(EXPECTED.iter().all(|expected| !expected.checkers.is_empty() && expected.what.ends_with('.')));
        // What isn't a checker is seen from outside: an operation that doesn't work at the end.
        let known = |name: &&str| *name == "liveness" || crate::checkers::names().any(|known| known == *name);
        assert!(EXPECTED.iter().all(|expected| expected.checkers.iter().all(known)));
    }

    #[test]
    fn the_first_seed_counts_whatever_the_number_of_jobs() {
        let broken = |_: &Expected, seed: u64| (seed % 7 == 6).then(|| "keys".to_owned());
        for jobs in [1, 2, 5] {
            let effort = Effort { bugs: vec![Bug::NoRetryTable], from: 1, starts: 3, seeds_max: 10, jobs };
            let bank = run_bank(&effort, broken, |_| {});
            let seeds: Vec<_> = bank.rows[0].searches.iter().flatten().map(|found| (found.seed, found.seeds)).collect();
            assert_eq!(seeds, [(6, 6), (13, 3), (27, 7)]);
            assert_eq!((bank.rows[0].median(), bank.rows[0].checker()), (Some(6), Some("keys")));
        }
    }

    #[test]
    fn what_is_not_found_fails_the_bank() {
        let effort = Effort { starts: 3, seeds_max: 2, ..Effort::quick_half(1, 2) };
        // Found from one first seed of three: the median says that it isn't.
        let bank = run_bank(&effort, |_, seed| (seed == 1).then(|| "keys".to_owned()), |_| {});
        assert!(!bank.all_found() && bank.rows.iter().all(|row| row.median().is_none()));
        assert!(bank.to_string().contains("not found"), "{bank}");
        let bank = run_bank(&effort, |_, _| Some("keys".to_owned()), |_| {});
        assert!(bank.all_found(), "{bank}");
    }
}
