//! The bug bank's switches: mistakes that real systems made, each a single mutation of our sources.

use std::cell::Cell;

/// Makes the enum and its table from one list.
macro_rules! bank {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug { $($(#[$doc])* $bug,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$bug,)*];

            /// Its name, as `--bug` takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)* }
            }
        }
    };
}

bank! {
    /// A vote is answered before it is synced.
    VoteBeforeSync = "vote-before-sync",
    /// An append is acknowledged before it is synced.
    AppendBeforeSync = "append-before-sync",
    /// A sync's error is ignored.
    SyncErrorIgnored = "sync-error-ignored",
    /// A node that believes that it leads answers linearizable reads without asking a quorum.
    LocalReadOnFormerLeader = "local-read-on-former-leader",
    /// A new leader starts sessions' deadlines from an older clock.
    LeaseNotCarriedOver = "lease-not-carried-over",
    /// Each replica expires sessions by its own clock.
    ExpiryByFollowersClock = "expiry-by-followers-clock",
    /// The client counts a lease from when the renewal's answer arrived.
    RenewalFromReceipt = "renewal-from-receipt",
    /// A snapshot forgets the counter that tokens come from.
    TokenResetBySnapshot = "token-reset-by-snapshot",
    /// A snapshot forgets the queues.
    QueueMissingInSnapshot = "queue-missing-in-snapshot",
    /// A snapshot forgets remembered replies.
    RetriesMissingInSnapshot = "retries-missing-in-snapshot",
    /// Replies aren't remembered at all.
    NoRetryTable = "no-retry-table",
    /// A watch resumes one revision too late.
    WatchResumesLate = "watch-resumes-late",
    /// A watch resumes one revision too early.
    WatchResumesEarly = "watch-resumes-early",
    /// An event is delivered before its entry is committed.
    UncommittedEvent = "uncommitted-event",
    /// Progress is told ahead of events that are still to be sent.
    ProgressAhead = "progress-ahead",
    /// The last entry of a snapshot is applied once more after a restart.
    AppliedTwiceAfterRestart = "applied-twice-after-restart",
    /// A snapshot is installed in two steps, and readers see the middle.
    SnapshotInTwoSteps = "snapshot-in-two-steps",
    /// The log is purged before the snapshot that covers it is durable.
    PurgeBeforeSnapshot = "purge-before-snapshot",
    /// A voter is swapped for another without a joint configuration.
    VoterSwappedInOneStep = "voter-swapped-in-one-step",
    /// What is applied depends on the order of a hash map.
    HashMapOrder = "hash-map-order",
    /// An expired owner's late release frees its successor.
    ReleaseFreesSuccessor = "release-frees-successor",
    /// A waiter that gave up stays in the queue.
    CancelledWaiterStays = "cancelled-waiter-stays",
    /// A forwarded write is applied twice.
    ForwardedTwice = "forwarded-twice",
    /// A stale read ignores the smallest revision that the client asked for.
    StaleBehindMinRevision = "stale-behind-min-revision",
    /// A semaphore admits one more than it has permits.
    SemaphoreOneTooMany = "semaphore-one-too-many",
    /// A reader overtakes a writer that waits.
    ReaderOvertakesWriter = "reader-overtakes-writer",
    /// The feature level is raised although a member didn't say what it understands.
    LevelRaisedTooEarly = "level-raised-too-early",
}

thread_local! {
    static SWITCHED_ON: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this mistake is made in this world.
#[must_use]
pub fn on(bug: Bug) -> bool {
    SWITCHED_ON.get() == Some(bug)
}

/// Switches one mistake on, or none.
pub fn switch(bug: Option<Bug>) {
    SWITCHED_ON.set(bug);
}
