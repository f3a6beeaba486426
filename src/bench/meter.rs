//! What a worker begins and ends its operations on.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Latencies are kept in microseconds, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    match Histogram::new(3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("three digits are a good number: {error}"),
    }
}

/// What all workers of a run have in common.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What begins from here on counts.
    pub counts_from: Instant,
    /// Nothing is begun from here on.
    pub ends: Instant,
    /// Work begins here, so that all is warm when it counts.
    pub begins: Instant,
    /// Between two operations of all workers together.
    pub distance: Option<Duration>,
    /// Operations that were begun at a rate.
    tickets: AtomicU64,
    pub failures: Mutex<Failures>,
}

/// Operations that failed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Failures {
    pub count: u64,
    pub first: Option<String>,
}

impl Stage {
    pub fn new(begins: Instant, warmup: Duration, lasts: Duration, rate: Option<f64>) -> Self {
        let counts_from = begins + warmup;
        Self {
            counts_from,
            ends: counts_from + lasts,
            begins,
            distance: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            tickets: AtomicU64::new(0),
            failures: Mutex::default(),
        }
    }
}

/// A worker's view of a run. Clones measure together.
#[derive(Clone, Debug)]
pub struct Meter {
    stage: Arc<Stage>,
    histogram: Arc<Mutex<Histogram<u64>>>,
}

impl Meter {
    pub(crate) fn new(stage: Arc<Stage>) -> Self {
        Self { stage, histogram: Arc::new(Mutex::new(histogram())) }
    }

    pub(crate) fn histogram(&self) -> &Mutex<Histogram<u64>> {
        &self.histogram
    }

    /// The moment from which the next operation counts, when it may begin; `None` when the run is over. Cancel safe, except that
    /// an operation of a rate is then left out.
    ///
    /// At a rate a worker that is late gets its moment at once, and it lies in the past. The runtime's clock wakes workers up to a
    /// millisecond late, which is contained in latencies at a rate.
    pub async fn next(&self) -> Option<Instant> {
        let stage = &self.stage;
        let Some(distance) = stage.distance else {
            let now = Instant::now();
            return (now < stage.ends).then_some(now);
        };
        let ticket = stage.tickets.fetch_add(1, Ordering::Relaxed);
        let moment = stage.begins + Duration::from_secs_f64(distance.as_secs_f64() * ticket as f64);
        if moment >= stage.ends {
            return None;
        }
        sleep_until(moment).await;
        Some(moment)
    }

    /// An operation has ended that counts from `begun`.
    pub fn ended<E: Display>(&self, begun: Instant, result: Result<(), E>) {
        if begun < self.stage.counts_from {
            return;
        }
        match result {
            Ok(()) => self.took(begun.elapsed()),
            Err(error) => {
                let mut failures = self.stage.failures.lock();
                failures.count += 1;
                failures.first.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Something took so long that isn't an operation, or isn't over: the age of what was heard last, for example. Counts if it is told
    /// while it is measured.
    pub fn lasted(&self, time: Duration) {
        let now = Instant::now();
        if now >= self.stage.counts_from && now < self.stage.ends {
            self.took(time);
        }
    }

    /// Something that another worker began has come to its end here: an event, for example.
    pub fn arrived(&self, begun: Instant) {
        self.ended(begun, Ok::<(), &str>(()));
    }

    /// Waits until the run is over.
    pub async fn over(&self) {
        sleep_until(self.stage.ends).await;
    }

    fn took(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // A histogram that grows by itself takes every number.
        let _ = self.histogram.lock().record(micros.max(1));
    }
}
