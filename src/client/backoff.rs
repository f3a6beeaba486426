//! Pauses between attempts: exponential, with jitter, so that clients that failed together don't come back together.

use std::time::Duration;

use crate::chance::jitter;

/// How failed calls are repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The first pause; each is drawn at random between half and whole. 20 ms unless said.
    pub pause_min: Duration,
    /// Pauses double up to this. 1 s unless said.
    pub pause_max: Duration,
    /// Most attempts, the first included; the deadline bounds them anyway. Unbounded unless said.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { pause_min: Duration::from_millis(20), pause_max: Duration::from_secs(1), attempts_max: u32::MAX }
    }
}

/// The pauses of one call.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    min: Duration,
}

impl Backoff {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let min = policy.pause_min.max(Duration::from_millis(1));
        Self { next: min, min, max: policy.pause_max.max(min) }
    }

    /// The longest that the next pause can be. Each asking doubles the one after.
    pub(crate) fn ceiling(&mut self) -> Duration {
        let now = self.next;
        self.next = (self.next * 2).min(self.max);
        now
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        jitter(self.ceiling())
    }

    /// Something worked: begin with short pauses again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_success() {
        let policy = RetryPolicy {
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_millis(100),
            attempts_max: 3,
        };
        let mut backoff = Backoff::new(&policy);
        let ceilings: Vec<u128> = (0..5).map(|_| backoff.ceiling().as_millis()).collect();
        assert_eq!(ceilings, [20, 40, 80, 100, 100]);
        backoff.reset();
        assert_eq!(backoff.ceiling().as_millis(), 20);
    }
}
