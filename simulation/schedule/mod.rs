//! The faults of a run: an explicit list, made up front from the seed. It can be printed, read back, replayed and shrunk.
//!
//! - [`faults`]: what can go wrong, and when.
//! - [`draw`]: a list from a seed: families switched on and off, intensities and gaps log-uniform.
//! - [`profiles`]: what a set of seeds is to look at most.
//! - [`text`]: the list as a file that a person reads and edits.
//! - [`shrink`]: the smallest list that still fails.
//! - `apply` (simulated world only): does the faults at their times, with `hands` for machines and `operator` for members.
//!
//! A fault that lasts ends by itself, after a time that is part of it; so each line stands alone, and taking one away leaves
//! a list that makes sense.

#[cfg(madsim)]
pub mod apply;
pub mod draw;
pub mod faults;
pub mod fields;
#[cfg(madsim)]
pub mod hands;
#[cfg(madsim)]
pub mod operator;
pub mod overlap;
pub mod profiles;
pub mod shrink;
pub mod text;

#[cfg(test)]
mod tests;

pub use faults::{Family, Fault};
pub use fields::{Kept, Ms, Node, Of, Whom};
pub use profiles::Profile;
pub use ringfence_probes::hooks::Happening;

/// When a fault is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many milliseconds after the world began.
    At(u64),
    /// After something happened.
    On {
        /// What.
        happening: Happening,
        /// Which time it happened, anywhere in the world; the first is 1.
        nth: u64,
        /// So many milliseconds later.
        delay_ms: u64,
    },
}

/// A fault and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Its number in the list that was drawn. It stays when others are taken away, so that what the fault does stays the same.
    pub id: u32,
    /// When.
    pub when: When,
    /// What.
    pub fault: Fault,
}

/// How the world is made, and what goes wrong in it. With the sources, this is all that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Everything that is drawn while the world runs comes from it.
    pub seed: u64,
    /// What the list was drawn for.
    pub profile: Profile,
    /// How many servers found the cluster.
    pub servers: u8,
    /// How many clients, 2 to 16.
    pub clients: u8,
    /// Simulated seconds until no more faults begin, and everything is mended.
    pub seconds: u32,
    /// How often a leader is heard, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest silence of a leader after which a follower stands for election, in milliseconds; the longest is twice that.
    pub election_ms: u64,
    /// A snapshot is built after so many entries.
    pub snapshot_entries: u64,
    /// So many entries before a snapshot stay in the log.
    pub keep_entries: u64,
    /// How long a sync takes on a healthy disk, in microseconds.
    pub sync_us: u64,
    /// The faults, in order of their numbers.
    pub faults: Vec<Timed>,
}
