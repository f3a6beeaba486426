//! How often a member that can't be reached is tried.
//!
//! openraft waits between two tries only before a request on a stream, and a stream to a closed port never gets so far: opening it fails
//! at once, and is tried again at once. Heartbeats, and the rounds that confirm reads, come on top. So the rate is bounded here, for all
//! of them together: after a failure one try a pause is let through, whoever makes it, and whatever reaches the member opens the way to all.
//!
//! Votes and transfers don't ask: there are few of them, and each is in a hurry.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tonic::{Code, Status};

/// See the module. Members are told apart by their addresses.
#[derive(Debug)]
pub struct Gate {
    pause: Duration,
    /// When the next try may be made, of those that were not reached at the last.
    closed: Mutex<HashMap<String, Instant>>,
}

impl Gate {
    /// With this pause between two tries.
    pub fn new(pause: Duration) -> Self {
        Self { pause, closed: Mutex::default() }
    }

    /// Lets a try through that is made now, or says how long to wait. Who is let through tells with [`Self::reached`] or
    /// [`Self::failed`] what came of it.
    ///
    /// # Errors
    /// The time to wait. Somebody else may be let through first then.
    pub fn enter(&self, address: &str, now: Instant) -> Result<(), Duration> {
        let mut closed = self.closed.lock();
        let Some(until) = closed.get_mut(address) else { return Ok(()) };
        let left = until.saturating_duration_since(now);
        if !left.is_zero() {
            return Err(left);
        }
        // The others wait for what comes of this one.
        *until = now + self.pause;
        Ok(())
    }

    /// The member answered.
    pub fn reached(&self, address: &str) {
        self.closed.lock().remove(address);
    }

    /// A try failed. Only what no connection was made for, or what a connection broke off under, counts: a member that is slow costs
    /// no connections, and its heartbeats must not become rarer.
    pub fn failed(&self, address: &str, status: &Status, now: Instant) {
        if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled) {
            self.closed.lock().insert(address.to_owned(), now + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);
    const ADDRESS: &str = "host:1";

    fn refused() -> Status {
        Status::unavailable("tcp connect error")
    }

    #[test]
    fn all_together_try_once_a_pause() {
        let gate = Gate::new(PAUSE);
        let began = Instant::now();
        let mut tries = 0;
        // Three that would try every millisecond, for ten seconds.
        for ms in 0..10_000 {
            let now = began + Duration::from_millis(ms);
            for _ in 0..3 {
                if gate.enter(ADDRESS, now).is_ok() {
                    tries += 1;
                    gate.failed(ADDRESS, &refused(), now);
                }
            }
        }
        assert_eq!(tries, 100);
    }

    #[test]
    fn who_waits_for_its_turn_gets_it() {
        let gate = Gate::new(PAUSE);
        let now = Instant::now();
        gate.failed(ADDRESS, &refused(), now);
        let left = gate.enter(ADDRESS, now).unwrap_err();
        assert_eq!(left, PAUSE);
        assert_eq!(gate.enter(ADDRESS, now + left), Ok(()));
        // While that one tries, nobody else does.
        assert_eq!(gate.enter(ADDRESS, now + left), Err(PAUSE));
        assert_eq!(gate.enter("other:1", now), Ok(()));
    }

    #[test]
    fn an_answer_opens_the_way_at_once() {
        let gate = Gate::new(PAUSE);
        let now = Instant::now();
        gate.failed(ADDRESS, &refused(), now);
        gate.reached(ADDRESS);
        for _ in 0..10 {
            assert_eq!(gate.enter(ADDRESS, now), Ok(()));
        }
    }

    #[test]
    fn a_slow_member_and_one_that_refuses_are_not_kept_waiting() {
        let gate = Gate::new(PAUSE);
        let now = Instant::now();
        for code in [Code::DeadlineExceeded, Code::FailedPrecondition, Code::InvalidArgument] {
            gate.failed(ADDRESS, &Status::new(code, ""), now);
            assert_eq!(gate.enter(ADDRESS, now), Ok(()), "{code:?}");
        }
    }
}
