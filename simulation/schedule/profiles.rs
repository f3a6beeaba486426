//! What a set of seeds is to look at most.

use std::str::FromStr;

use super::Family;

/// What a set of seeds is to look at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Everything that clocks within the allowance permit; each seed with other families and other intensities.
    #[default]
    Default,
    /// No faults at all.
    Calm,
    /// Three servers.
    Three,
    /// Five servers.
    Five,
    /// Clocks beyond the allowance. Only fencing must hold then.
    Drift,
    /// Servers that crash all the time.
    Storm,
    /// Links and messages at their worst.
    Network,
    /// Disks at their worst.
    Disk,
    /// Members that come and go all the time.
    Members,
    /// Real sled in real directories. Processes are killed; disks have no faults.
    Sled,
}

/// Each with its name, and what it is in a line.
const TABLE: &[(Profile, &str, &str)] = &[
    (Profile::Default, "default", "everything, each seed with other faults; clocks within the allowance"),
    (Profile::Calm, "calm", "no faults at all"),
    (Profile::Three, "three", "as default, always three servers"),
    (Profile::Five, "five", "as default, always five servers"),
    (Profile::Drift, "drift", "clocks beyond the allowance, where only fencing must hold"),
    (Profile::Storm, "storm", "servers that crash all the time"),
    (Profile::Network, "network", "links and messages at their worst"),
    (Profile::Disk, "disk", "disks at their worst"),
    (Profile::Members, "members", "members that come and go all the time"),
    (Profile::Sled, "sled", "real sled in real directories: processes crash, disks don't"),
];

impl Profile {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Profile> {
        TABLE.iter().map(|(profile, ..)| *profile)
    }

    fn row(self) -> Option<&'static (Profile, &'static str, &'static str)> {
        TABLE.iter().find(|(profile, ..)| *profile == self)
    }

    /// Its name, as `--profile` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, _)| name)
    }

    /// What it is, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.row().map_or("", |(.., about)| about)
    }

    /// How many servers it always has, if it says.
    pub(super) fn servers(self) -> Option<u8> {
        match self {
            Profile::Three => Some(3),
            Profile::Five => Some(5),
            _ => None,
        }
    }

    /// Logs are in real directories, whose faults nobody here makes.
    #[must_use]
    pub fn has_real_disks(self) -> bool {
        self == Profile::Sled
    }

    /// The family that is always on, and hard at work.
    pub(super) fn stresses(self, family: Family) -> bool {
        match self {
            Profile::Drift => family == Family::Clocks,
            Profile::Storm | Profile::Sled => family == Family::Process,
            Profile::Network => matches!(family, Family::Network | Family::Messages),
            Profile::Disk => family == Family::Disk,
            Profile::Members => family == Family::Members,
            Profile::Default | Profile::Calm | Profile::Three | Profile::Five => false,
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = TABLE.iter().find(|(_, known, _)| *known == name);
        found.map(|(profile, ..)| *profile).ok_or_else(|| {
            let all: Vec<&str> = TABLE.iter().map(|(_, name, _)| *name).collect();
            format!("`{name}` is no profile; there are {}", all.join(", "))
        })
    }
}
