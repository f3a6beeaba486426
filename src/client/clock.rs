//! The clock that leases are counted by.
//!
//! The ordinary monotonic clock stands still while a machine is suspended, and the cluster's doesn't. So where the
//! system has a clock that goes on meanwhile, a moment carries its reading too, and the later of the two counts.

use std::time::Duration;

use tokio::time::Instant;

/// A moment, by every clock there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Stands still while the machine is suspended. Timers go by it.
    pub(crate) instant: Instant,
    /// Goes on while the machine is suspended; zero where there is no such clock.
    pub(crate) since_boot: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), since_boot: since_boot() }
    }

    pub(crate) fn after(self, duration: Duration) -> Self {
        Self { instant: self.instant + duration, since_boot: self.since_boot + duration }
    }

    /// Time from `now` until this moment, by the clock that says less.
    pub(crate) fn left(self, now: Moment) -> Duration {
        let by_boot = self.since_boot.saturating_sub(now.since_boot);
        // In simulation the instant is true time, which no machine can read.
        if cfg!(madsim) {
            return by_boot;
        }
        let by_instant = self.instant.saturating_duration_since(now.instant);
        by_instant.min(by_boot)
    }

    /// Whether it lies behind `other` by the clock that timers go by.
    pub(crate) fn is_after(self, other: Moment) -> bool {
        self.instant > other.instant
    }
}

#[cfg(all(target_os = "linux", not(madsim)))]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

/// In simulation, a clock whose rate may differ from true time's.
#[cfg(madsim)]
fn since_boot() -> Duration {
    Duration::from_nanos(ringfence_probes::hooks::local_ns())
}

#[cfg(all(not(target_os = "linux"), not(madsim)))]
fn since_boot() -> Duration {
    // Adding a duration to it and asking what is left gives that duration for ever: the other clock decides.
    Duration::ZERO
}

/// Tells the simulation that a renewal which was sent at this moment is acknowledged.
#[cfg(madsim)]
pub(crate) fn tell_renewed(session: u64, ttl: Duration, sent: Moment) {
    let now = madsim::time::TimeHandle::current().elapsed();
    let sent = now.saturating_sub(sent.instant.elapsed());
    ringfence_probes::hooks::renewed(session, ttl, u64::try_from(sent.as_nanos()).unwrap_or(u64::MAX));
}
