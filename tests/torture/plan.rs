//! What a seed is here: the schedule that it has in the simulated world, with those faults that can be done to real processes.

use ringfence_simulation::schedule::{Profile, Schedule};

use crate::faults::{Means, can};

/// What rounds look at most, one after the other.
const PROFILES: [Profile; 5] = [Profile::Storm, Profile::Network, Profile::Default, Profile::Disk, Profile::Five];
/// The servers take no less.
const SNAPSHOT_ENTRIES_MIN: u64 = 100;
/// On a machine that other programs use, a leader is silent for longer than in a simulated world.
const SLOWER: u64 = 2;

/// The schedule of a seed. As far as it can be done by these means.
#[must_use]
pub fn schedule(seed: u64, seconds: u32, servers: Option<u8>, means: Means) -> Schedule {
    let place = usize::try_from(seed % PROFILES.len() as u64).unwrap_or_default();
    let profile = PROFILES.get(place).copied().unwrap_or_default();
    let mut schedule = Schedule::draw(seed, profile, seconds);
    schedule.servers = servers.unwrap_or(schedule.servers);
    schedule.heartbeat_ms *= SLOWER;
    schedule.election_ms *= SLOWER;
    schedule.snapshot_entries = schedule.snapshot_entries.max(SNAPSHOT_ENTRIES_MIN);
    schedule.faults.retain(|timed| can(&timed.fault, means));
    schedule
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: Means = Means { root: true, library: true };

    fn kinds(means: Means) -> BTreeSet<&'static str> {
        let faults = (1..=60).flat_map(|seed| schedule(seed, 60, None, means).faults);
        faults.map(|timed| timed.fault.kind()).collect()
    }

    #[test]
    fn all_that_can_be_done_is_done_in_some_seeds() {
        let drawn = kinds(ALL);
        for kind in [
            "alone",
            "deaf",
            "mute",
            "split",
            "bridge",
            "flap",
            "slow",
            "swizzle",
            "stranded",
            "lost",
            "kill",
            "stop",
            "pause",
            "frozen",
            "storm",
            "blackout",
            "rolling",
            "full-disk",
            "transfer",
            "slow-sync",
            "failing-sync",
            "clock",
        ] {
            assert!(drawn.contains(kind), "{kind} is never drawn");
        }
    }

    #[test]
    fn without_root_nothing_is_cut_or_filled() {
        let drawn = kinds(Means { root: false, library: false });
        assert!(drawn.contains("kill") && !drawn.contains("alone") && !drawn.contains("full-disk"), "{drawn:?}");
    }

    #[test]
    fn the_number_of_servers_can_be_said() {
        assert!((1..=20).all(|seed| schedule(seed, 60, Some(5), ALL).servers == 5));
        let drawn: BTreeSet<u8> = (1..=20).map(|seed| schedule(seed, 60, None, ALL).servers).collect();
        assert_eq!(drawn, [3, 5].into());
    }
}
