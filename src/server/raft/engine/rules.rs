//! The rules of the disk by name, so that the test of power cuts can break one and show that it would be missed.
//!
//! In what is built without the feature `broken-rules`, and so in every program that runs, all of them are kept and nothing can change that.

/// A rule of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Rule 1 of the database: a database is made under another name, synced and renamed.
    MadeAside,
    /// Rule 2: what an open that was cut short left is deleted.
    LeftoversDeleted,
    /// Rule 2: what an open wrote is synced.
    OpenSynced,
    /// Rule 3: values are cut into chunks.
    Chunks,
    /// Rule 4: `fdatasync` after `flush`.
    RealSync,
    /// Rule 5: at most so much is written between two syncs.
    Bounded,
    /// Rule 6: sled's flusher is off.
    NoFlusher,
    /// Each batch is synced in the tail.
    TailSynced,
    /// A segment of the tail is used again only when the database has durably what it holds.
    TailHeld,
    /// The data directory's own name is synced.
    DirectorySynced,
    /// A snapshot is synced before it gets its name.
    SnapshotSynced,
    /// A snapshot's name is synced before it counts.
    SnapshotNameSynced,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::MadeAside,
        Self::LeftoversDeleted,
        Self::OpenSynced,
        Self::Chunks,
        Self::RealSync,
        Self::Bounded,
        Self::NoFlusher,
        Self::TailSynced,
        Self::TailHeld,
        Self::DirectorySynced,
        Self::SnapshotSynced,
        Self::SnapshotNameSynced,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MadeAside => "made-aside",
            Self::LeftoversDeleted => "leftovers-deleted",
            Self::OpenSynced => "open-synced",
            Self::Chunks => "chunks",
            Self::RealSync => "real-sync",
            Self::Bounded => "bounded",
            Self::NoFlusher => "no-flusher",
            Self::TailSynced => "tail-synced",
            Self::TailHeld => "tail-held",
            Self::DirectorySynced => "directory-synced",
            Self::SnapshotSynced => "snapshot-synced",
            Self::SnapshotNameSynced => "snapshot-name-synced",
        }
    }
}

/// Whether this rule is kept.
#[cfg(not(feature = "broken-rules"))]
pub(crate) const fn kept(_rule: Rule) -> bool {
    true
}

#[cfg(feature = "broken-rules")]
pub use broken::{break_only, kept};

#[cfg(feature = "broken-rules")]
mod broken {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Rule;

    /// A bit for each.
    static BROKEN: AtomicU32 = AtomicU32::new(0);

    /// Breaks these in the whole process from now on, and no others.
    pub fn break_only(rules: &[Rule]) {
        let bits = rules.iter().fold(0, |bits, rule| bits | 1 << *rule as u32);
        BROKEN.store(bits, Ordering::Release);
    }

    /// Whether this rule is kept.
    pub fn kept(rule: Rule) -> bool {
        BROKEN.load(Ordering::Acquire) & 1 << rule as u32 == 0
    }
}
