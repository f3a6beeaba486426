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
    /// Starts at `state_ms`, the state's clock with the whole log before this term applied, at this moment.
    pub fn take_over(term: u64, state_ms: u64, now: Instant) -> Self {
        Self {
            term,
            reading: Mutex::new(Reading { at: Duration::from_millis(state_ms), looked: now, paused: Duration::ZERO }),
        }
    }

    /// The term in which this node leads.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The clock now, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.look(Instant::now())
    }

    /// How much time was left out since this node took over.
    pub fn paused(&self) -> Duration {
        self.reading.lock().paused
    }

    fn look(&self, now: Instant) -> u64 {
        let mut reading = self.reading.lock();
        let gap = now.saturating_duration_since(reading.looked);
        #[cfg(madsim)]
        let gap = ringfence_probes::hooks::drifted(gap);
        let counted = if gap > PULSE + LATE_MAX { PULSE } else { gap };
        reading.at += counted;
        reading.paused += gap - counted;
        // Two looks may come in another order than their readings of the time.
        reading.looked = reading.looked.max(now);
        u64::try_from(reading.at.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_goes_on_from_the_states_clock() {
        let start = Instant::now();
        let clock = Clock::take_over(3, 10_000, start);
        assert_eq!(clock.look(start), 10_000);
        assert_eq!(clock.look(start + 40 * MS), 10_040);
        assert_eq!(clock.look(start + 90 * MS), 10_090);
        assert_eq!(clock.term(), 3);
    }

    #[test]
    fn a_pause_is_left_out_whoever_looks_first() {
        let start = Instant::now();
        let clock = Clock::take_over(1, 0, start);
        assert_eq!(clock.look(start + 50 * MS), 50);
        // Stopped for a minute; a stamp is asked for before the pulse comes.
        let resumed = start + 60_050 * MS;
        assert_eq!(clock.look(resumed), 100);
        assert_eq!(clock.paused(), 59_950 * MS);
        assert_eq!(clock.look(resumed + 50 * MS), 150);
    }

    #[test]
    fn the_delays_of_a_busy_machine_count() {
        let start = Instant::now();
        let clock = Clock::take_over(1, 0, start);
        assert_eq!(clock.look(start + PULSE + LATE_MAX), 300);
        assert_eq!(clock.paused(), Duration::ZERO);
        assert_eq!(clock.look(start + 2 * (PULSE + LATE_MAX) + MS), 350);
        assert_eq!(clock.paused(), 251 * MS);
    }

    #[test]
    fn looks_that_overtake_each_other_count_no_time_twice() {
        let start = Instant::now();
        let clock = Clock::take_over(1, 0, start);
        assert_eq!(clock.look(start + 20 * MS), 20);
        assert_eq!(clock.look(start + 10 * MS), 20);
        assert_eq!(clock.look(start + 30 * MS), 30);
    }
}
