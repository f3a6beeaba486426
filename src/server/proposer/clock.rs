//! The leader's reading of the state's clock.
//!
//! It starts at the state's clock as it was when this node took over, and goes on as this node's monotonic clock does. What
//! it must not do is overtake renewals that couldn't be heard: a process that was stopped, or a machine that was
//! suspended, finds them in its sockets when it goes on. So somebody looks at the clock at least every [`PULSE`], and a gap
//! between two looks that is longer by [`LATE_MAX`] is time in which nothing was heard: it is left out, all but one pulse.
//!
//! A quarter of a second is well above the delays of a busy machine's scheduler, so that the clock doesn't fall behind
//! under load, and half of the shortest TTL, so that no session is expired by a pause alone.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the clock is looked at.
pub const PULSE: Duration = Duration::from_millis(50);
/// How much later than planned a look may come before the time counts as a pause.
pub const LATE_MAX: Duration = Duration::from_millis(250);

/// The state's clock, as the leader of one term reads it.
pub struct Clock {
    term: u64,
    reading: Mutex<Reading>,
}

struct Reading {
    /// The clock at `looked`.
    at: Duration,
    looked: Instant,
    paused: Duration,
}

impl Clock {
    /// Starts at `state_ms`, the state's clock with the whole log before this term applied.
    pub fn take_over(term: u64, state_ms: u64) -> Self {
        Self {
            term,
            reading: Mutex::new(Reading {
                at: Duration::from_millis(state_ms),
                looked: Instant::now(),
                paused: Duration::ZERO,
            }),
        }
    }

    /// The term in which this node leads.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The clock now, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        let mut reading = self.reading.lock();
        let now = Instant::now();
        let gap = now.saturating_duration_since(reading.looked);
        let counted = if gap > PULSE + LATE_MAX { PULSE } else { gap };
        reading.at += counted;
        reading.paused += gap - counted;
        reading.looked = now;
        u64::try_from(reading.at.as_millis()).unwrap_or(u64::MAX)
    }

    /// How much time was left out since this node took over.
    pub fn paused(&self) -> Duration {
        self.reading.lock().paused
    }
}
