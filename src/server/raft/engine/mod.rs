//! Where the log, the vote and the marks are kept: a small door with two rooms behind it, [`disk`] and [`memory`].
//!
//! An engine knows bytes only. What the bytes say, and their checksums, are the `log_store`'s business, so that damage is
//! found alike whatever the engine.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;

mod behind;
pub mod disk;
mod frame;
pub mod memory;
pub mod rules;
mod sled;
mod tail;
mod witness;

/// A value of its own, beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// Whose data these are.
    Identity,
    /// The vote.
    Vote,
    /// The last entry that is known to be committed.
    Committed,
    /// The last entry that was purged.
    Purged,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Vote, Self::Committed, Self::Purged];

    /// Its name on disk and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::Purged => "purged",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Write {
    /// Puts a record at an index: the one after the last, or any if there are none.
    Append {
        /// The index.
        index: u64,
        /// The record.
        record: Bytes,
    },
    /// Sets a mark.
    Mark {
        /// Which.
        mark: Mark,
        /// Its value.
        value: Bytes,
    },
    /// Removes the record at this index and all after it, the last one first.
    Truncate {
        /// The first that goes.
        from: u64,
    },
    /// Removes the records of these indexes, the first one first. There are none before them.
    Remove {
        /// Which.
        indexes: Range<u64>,
    },
}

/// What [`LogEngine::settle`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// There is more to do.
    pub more: bool,
    /// Bytes that what was written since the last time takes before the database, where something stands there. The first time, with what was
    /// found when the engine was opened.
    pub placed_bytes: u64,
}

/// A place for the log. Its calls block. One thread writes; any may read.
pub trait LogEngine: Send + Sync + 'static {
    /// Does these changes, in this order. They can be read and are durable after the next [`LogEngine::sync`]; after a crash before it, a
    /// prefix of them may be there.
    ///
    /// # Errors
    /// Final: the engine can't be used after one.
    fn write(&self, writes: &[Write]) -> io::Result<()>;

    /// Returns when everything written before is durable.
    ///
    /// # Errors
    /// Final: what is durable is not known after one, and a second call would not tell.
    fn sync(&self) -> io::Result<()>;

    /// Does some of what a sync has left to do and nobody need wait for.
    ///
    /// # Errors
    /// Final, as those of [`LogEngine::sync`].
    fn settle(&self) -> io::Result<Settled> {
        Ok(Settled::default())
    }

    /// Records of these indexes, in order, until their bytes pass the limit; at least one if there is one.
    ///
    /// # Errors
    /// If the disk can't be read, or what is read can't be right.
    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>>;

    /// The first and the last index, if there are records.
    ///
    /// # Errors
    /// If the disk can't be read.
    fn bounds(&self) -> io::Result<Option<(u64, u64)>>;

    /// A mark's value.
    ///
    /// # Errors
    /// If the disk can't be read.
    fn mark(&self, mark: Mark) -> io::Result<Option<Bytes>>;

    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;

    /// How long a sync takes, where time is simulated.
    #[cfg(madsim)]
    fn sync_time(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// The place beside a database whose name is the database's with this added.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
