//! Feature levels: what all members of the cluster understand.
//!
//! Members of neighbouring versions run side by side while a cluster is upgraded. What only the newer ones understand (a command, a
//! record) must not come into the log before all are new. So the state has a level, the leader raises it when every
//! member has said that it understands it, and whatever is new asks the level first. The way is that of ZooKeeper's and Kafka's
//! rolling upgrades. The level never goes back: a member that understands less than the state needs can't follow any more, and
//! stops.
//!
//! | level | |
//! |---|---|
//! | 0 | what the first version understood |
//! | 1 | the level itself |

use crate::outcome::Reply;
use crate::step::Step;

/// The newest level that this version understands.
pub const LEVEL_NEWEST: u32 = 1;

/// What the digest says, beside the tags of the other rooms.
const TAG_LEVEL: u8 = 23;

impl Step<'_> {
    /// Raises the level. One that isn't higher changes nothing: it was raised already.
    pub fn raise_level(&mut self, level: u32) -> Reply {
        if level > self.state.level {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::LEVEL_RAISED);
            self.state.level = level;
            self.digest.tag(TAG_LEVEL).number(u64::from(level));
            self.outcome.level = Some(level);
        }
        Reply::LevelRaised { level: self.state.level }
    }
}
