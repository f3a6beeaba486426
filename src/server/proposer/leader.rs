//! What a leader does of itself: it takes over the clock, looks at it, and lets time pass in the state.

use std::{sync::Arc, time::Duration};

use ringfence_core::{Entry, query::Stats};
use tokio::time::{Instant, sleep};

use super::{
    Consensus, Inner,
    clock::{Clock, PULSE},
    wall_ms,
};
use crate::raft::Leadership;

/// While sessions exist the state's clock is moved at least so often, whether or not anything is written. A new leader
/// starts from the clock in the log, so what the clock had run beyond it is added to the lease of a dead client; this bounds it.
const TICK_MS_MAX: u64 = 1000;
/// Longest time between two looks at the deadlines: half of the shortest TTL, so that no new session is missed.
const LOOK_MS_MAX: u64 = 250;
/// How long is waited after a failure, unless the leader changes sooner.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Runs as long as the server does.
pub(super) async fn run(inner: Arc<Inner>, node: Arc<dyn Consensus>) {
    let mut led = None;
    while !inner.stopping.is_stopping() {
        let seen = node.leadership();
        // The clock of a term is taken over once.
        if led != Some(seen.term) || !seen.is_me {
            inner.set_clock(None);
        }
        tokio::select! {
            biased;
            () = inner.stopping.wait() => {}
            _ = node.leadership_changed(&seen) => {}
            () = lead(&inner, &node, seen), if seen.is_me => {}
        }
        led = inner.any_clock().map(|clock| clock.term());
    }
    inner.set_clock(None);
    inner.link.clear();
}

async fn lead(inner: &Inner, node: &Arc<dyn Consensus>, seen: Leadership) {
    let clock = match inner.clock(seen.term) {
        Some(clock) => clock,
        None => take_over(inner, node, seen.term).await,
    };
    inner.set_clock(Some(clock.clone()));
    tokio::select! {
        biased;
        () = pulse(&clock) => {}
        () = ticks(inner, node, &clock) => {}
    }
}

/// Waits until all that earlier leaders had committed is applied here, and starts the clock from there.
async fn take_over(inner: &Inner, node: &Arc<dyn Consensus>, term: u64) -> Arc<Clock> {
    loop {
        match node.read_index().await {
            Ok(index) => {
                inner.replica.wait_applied(index).await;
                let state_ms = inner.replica.read(&Stats).map_or(0, |stats| stats.clock_ms);
                #[cfg(madsim)]
                let state_ms = carried_over(inner, state_ms);
                tracing::info!(term, state_ms, "leading; the clock goes on from where the log ends");
                return Arc::new(Clock::take_over(term, state_ms, Instant::now()));
            }
            Err(error) => {
                tracing::debug!(term, %error, "not yet confirmed as leader");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// By mistake the clock isn't carried over: each leader's begins anew.
#[cfg(madsim)]
fn carried_over(inner: &Inner, state_ms: u64) -> u64 {
    if inner.replica.read(&Stats).is_ok_and(|stats| stats.sessions > 0) {
        ringfence_probes::hit(ringfence_probes::marks::SESSIONS_TAKEN_OVER);
    }
    if ringfence_probes::on(ringfence_probes::Bug::LeaseNotCarriedOver) { 0 } else { state_ms }
}

/// Looks at the clock, so that a pause of this process is noticed. Never ends.
async fn pulse(clock: &Clock) {
    let mut paused = clock.paused();
    loop {
        sleep(PULSE).await;
        clock.now_ms();
        let total = clock.paused();
        if total > paused {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::LEADER_PAUSED);
            let left_out_ms = u64::try_from((total - paused).as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                left_out_ms,
                "this process was stopped for a while; that time is left out of the sessions' clock"
            );
            paused = total;
        }
    }
}

/// Proposes an empty entry whenever a session is due, or the clock in the log is old. Never ends.
async fn ticks(inner: &Inner, node: &Arc<dyn Consensus>, clock: &Clock) {
    loop {
        let stats = inner.replica.read(&Stats).unwrap_or_default();
        let now_ms = clock.now_ms();
        let due_ms =
            stats.next_deadline_ms.map(|deadline_ms| deadline_ms.min(stats.clock_ms.saturating_add(TICK_MS_MAX)));
        match due_ms {
            Some(due_ms) if due_ms < now_ms => {
                let tick = Entry { clock_ms: now_ms, wall_ms: wall_ms(), requests: Vec::new() };
                if let Err(error) = node.propose(tick).await {
                    tracing::debug!(%error, "a tick was not applied");
                    sleep(BACK_OFF).await;
                }
            }
            _ => {
                let left_ms = due_ms.map_or(LOOK_MS_MAX, |due_ms| due_ms - now_ms + 1);
                sleep(Duration::from_millis(left_ms.min(LOOK_MS_MAX))).await;
            }
        }
    }
}
