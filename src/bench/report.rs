//! What was measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{drive::Plan, meter::Failures};

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since it counts.
    pub at: Duration,
    /// Operations so far.
    pub done: u64,
    /// Operations since the last look, a second ago or less.
    pub since_last: u64,
    /// Failures so far.
    pub errors: u64,
}

/// The figures of a run. Latencies are of operations that succeeded, to three digits.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Workers.
    pub clients: usize,
    /// How long it was measured.
    pub seconds: f64,
    /// Operations a second that were asked for; `None`: as many as could be done.
    pub rate: Option<f64>,
    /// Operations that succeeded.
    pub ops: u64,
    /// A second.
    pub ops_per_s: f64,
    /// Milliseconds, of all operations on average.
    pub mean_ms: f64,
    /// Half of all took at most so long.
    pub p50_ms: f64,
    /// 90 of 100.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Operations that failed.
    pub errors: u64,
    /// Why the first of them did.
    pub first_error: Option<String>,
}

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        measured: Duration,
        latencies: &Histogram<u64>,
        failures: Failures,
        stuck: u64,
    ) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(latencies.value_at_quantile(quantile));
        let seconds = measured.as_secs_f64();
        Self {
            clients: plan.clients,
            seconds: rounded(seconds),
            rate: plan.rate,
            ops: latencies.len(),
            ops_per_s: rounded(latencies.len() as f64 / seconds),
            mean_ms: rounded(latencies.mean() / 1000.0),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(latencies.max()),
            errors: failures.count + stuck,
            first_error: failures
                .first
                .or_else(|| (stuck > 0).then(|| "an operation had not ended ten seconds after the end".to_owned())),
        }
    }
}

/// To three places, which is more than any of them means.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
