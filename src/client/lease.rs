//! How long a session is surely alive.
//!
//! The cluster ends a session no earlier than its TTL after it received the last renewal that it acknowledged. A client
//! can't know when that was received, only when it was *sent*, which is earlier. So it counts from there, and takes off
//! an allowance for clocks that don't run alike: 1 % of the TTL, and no less than 5 ms. What a client believes in is over
//! here before it can be over there, as long as clocks' rates differ by less.
//!
//! A lease that has run out never comes back, even if the cluster turns out to have kept the session: whoever was told
//! that it is over may have acted on it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::session::Loss;
use crate::types::SessionId;

const DRIFT_ALLOWANCE_MIN: Duration = Duration::from_millis(5);

/// What is taken off a lease of this TTL.
pub(crate) fn drift_allowance(ttl: Duration) -> Duration {
    (ttl / 100).max(DRIFT_ALLOWANCE_MIN)
}

/// How often a session of this TTL is renewed: two renewals may fail before its lease runs out.
pub(crate) fn renewal_period(ttl: Duration) -> Duration {
    ttl / 3
}

/// When a lease ends whose last acknowledged renewal was sent at `sent`.
fn lease_end(sent: Moment, ttl: Duration) -> Moment {
    sent.after(ttl.saturating_sub(drift_allowance(ttl)))
}

/// A session's lease, shared by who uses the session and who renews it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: SessionId,
    pub(crate) ttl: Duration,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug)]
struct State {
    until: Moment,
    over: Option<Loss>,
}

impl Lease {
    /// A session that was opened by a request sent at `sent`.
    pub(crate) fn new(id: SessionId, ttl: Duration, sent: Moment) -> Self {
        Self { id, ttl, state: Mutex::new(State { until: lease_end(sent, ttl), over: None }), ended: Notify::new() }
    }

    /// How long it surely goes on.
    pub(crate) fn remaining(&self) -> Duration {
        self.remaining_at(Moment::now())
    }

    fn remaining_at(&self, now: Moment) -> Duration {
        let mut state = self.state.lock();
        if state.over.is_some() {
            return Duration::ZERO;
        }
        let left = state.until.left(now);
        if left.is_zero() {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::LEASE_LAPSED);
            state.over = Some(Loss::Lapsed);
            drop(state);
            self.ended.notify_waiters();
        }
        left
    }

    /// How it ended, if it has.
    pub(crate) fn over(&self) -> Option<Loss> {
        self.remaining();
        self.state.lock().over
    }

    /// A renewal that was sent at `sent` was acknowledged.
    pub(crate) fn renewed(&self, sent: Moment) {
        if self.remaining().is_zero() {
            return;
        }
        let mut state = self.state.lock();
        let until = lease_end(sent, self.ttl);
        if state.over.is_none() && until.is_after(state.until) {
            state.until = until;
        }
    }

    /// It is over. True if it wasn't before.
    pub(crate) fn end(&self, how: Loss) -> bool {
        let first = {
            let mut state = self.state.lock();
            let first = state.over.is_none();
            state.over.get_or_insert(how);
            first
        };
        self.ended.notify_waiters();
        first
    }

    /// Waits until it is over. Cancel safe.
    pub(crate) async fn lost(&self) -> Loss {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(how) = self.over() {
                return how;
            }
            let until = self.state.lock().until.instant;
            tokio::select! {
                biased;
                () = &mut ended => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::advance;

    const TTL: Duration = Duration::from_secs(10);

    fn lease() -> Lease {
        Lease::new(1, TTL, Moment::now())
    }

    #[test]
    fn the_allowance_is_one_percent_and_no_less_than_five_milliseconds() {
        assert_eq!(drift_allowance(TTL), Duration::from_millis(100));
        let shortest = Duration::from_millis(500);
        assert_eq!(drift_allowance(shortest), Duration::from_millis(5));
        assert_eq!(renewal_period(Duration::from_secs(9)), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_from_the_sending_not_from_the_answer() {
        let sent = Moment::now();
        advance(Duration::from_secs(4)).await;
        let lease = Lease::new(1, TTL, sent);
        let now = Moment { since_boot: sent.since_boot, ..Moment::now() };
        assert_eq!(lease.remaining_at(now), Duration::from_millis(5_900));
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_renewal_acknowledged_late_does_not_shorten_it() {
        let lease = lease();
        let early = Moment::now();
        advance(Duration::from_secs(3)).await;
        let late = Moment::now();
        lease.renewed(late);
        let now = Moment { since_boot: late.since_boot, ..Moment::now() };
        let left = lease.remaining_at(now);
        lease.renewed(early);
        assert_eq!(lease.remaining_at(now), left);
        assert_eq!(left, Duration::from_millis(9_900));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lapsed_lease_never_comes_back() {
        let lease = lease();
        advance(Duration::from_secs(10)).await;
        lease.renewed(Moment::now());
        assert_eq!(lease.remaining(), Duration::ZERO);
        assert_eq!(lease.over(), Some(Loss::Lapsed));
        assert!(!lease.end(Loss::Closed));
        assert_eq!(lease.lost().await, Loss::Lapsed);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_when_it_lapses_and_when_it_is_ended() {
        let before = tokio::time::Instant::now();
        assert_eq!(lease().lost().await, Loss::Lapsed);
        let waited = before.elapsed();
        assert!(waited >= TTL - drift_allowance(TTL) && waited < TTL);

        let lease = Arc::new(lease());
        let waiter = tokio::spawn({
            let lease = lease.clone();
            async move { lease.lost().await }
        });
        tokio::task::yield_now().await;
        lease.end(Loss::Expired);
        assert_eq!(waiter.await.ok(), Some(Loss::Expired));
    }

    #[test]
    fn a_suspended_machine_loses_the_time_that_the_other_clock_counted() {
        let sent = Moment { instant: Instant::now(), since_boot: Duration::from_secs(100) };
        let woken = Moment { since_boot: Duration::from_secs(200), ..sent };
        let lease = Lease::new(1, TTL, sent);
        assert_eq!(lease.remaining_at(woken), Duration::ZERO);
    }

    use tokio::time::Instant;
}
