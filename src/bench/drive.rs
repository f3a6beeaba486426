//! A run: all workers at once, for a while.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    meter::{Meter, Stage, histogram},
    report::{Progress, Report},
};

/// Between two reports of how far it is.
const PERIOD: Duration = Duration::from_secs(1);
/// Operations that are under way at the end may take so long; then they count as failed.
const GRACE: Duration = Duration::from_secs(10);
/// Workers beyond so many share histograms: each takes a tenth of a megabyte, and there may be 100 000 workers.
const HISTOGRAMS_MAX: usize = 64;

/// How long and how hard.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Workers.
    pub clients: usize,
    /// How long it counts.
    pub lasts: Duration,
    /// How long the same is done before, without counting.
    pub warmup: Duration,
    /// Operations a second, of all workers together; a closed loop if `None`. Finite and above zero.
    pub rate: Option<f64>,
}

/// Has workers work, each with its number and a meter, and tells what they measured. The workers are spawned on this runtime. Whoever
/// hasn't ended ten seconds after the end is dropped, and counts as one failure.
///
/// Tells how far it is when it begins to count, each second from then on, and when it ends.
///
/// Dropping the future ends them all.
pub async fn drive<F>(
    plan: &Plan,
    mut worker: impl FnMut(usize, Meter) -> F,
    mut progress: impl FnMut(&Progress),
) -> Report
where
    F: Future<Output = ()> + Send + 'static,
{
    let stage = Arc::new(Stage::new(Instant::now(), plan.warmup, plan.lasts, plan.rate));
    let meters: Vec<Meter> = (0..plan.clients.clamp(1, HISTOGRAMS_MAX)).map(|_| Meter::new(stage.clone())).collect();
    let mut working = JoinSet::new();
    for number in 0..plan.clients {
        working.spawn(worker(number, meters[number % meters.len()].clone()));
    }
    let mut done = 0;
    let mut at = stage.counts_from;
    loop {
        sleep_until(at).await;
        let all: u64 = meters.iter().map(|meter| meter.histogram().lock().len()).sum();
        let errors = stage.failures.lock().count;
        progress(&Progress { at: at - stage.counts_from, done: all, since_last: all - done, errors });
        done = all;
        if at == stage.ends {
            break;
        }
        at = stage.ends.min(at + PERIOD);
    }
    let mut ended = stage.ends;
    while let Ok(Some(_)) = timeout_at(stage.ends + GRACE, working.join_next()).await {
        ended = ended.max(Instant::now());
    }
    let stuck = working.len() as u64;
    working.shutdown().await;
    let mut latencies = histogram();
    for meter in &meters {
        // All have the same digits, and grow by themselves.
        let _ = latencies.add(&*meter.histogram().lock());
    }
    let failures = stage.failures.lock().clone();
    Report::new(plan, ended - stage.counts_from, &latencies, failures, stuck)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn plan(clients: usize, rate: Option<f64>) -> Plan {
        Plan { clients, lasts: Duration::from_secs(4), warmup: Duration::from_secs(1), rate }
    }

    /// Equal to three digits.
    fn about(figure: f64, expected: f64) -> bool {
        (figure - expected).abs() <= expected / 1000.0
    }

    /// Does operations that take so many milliseconds.
    async fn work(meter: Meter, ms: u64) {
        while let Some(begun) = meter.next().await {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            meter.ended(begun, Ok::<(), String>(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_waits_for_each_operation() {
        let mut seconds = Vec::new();
        let report =
            drive(&plan(2, None), |_, meter| work(meter, 10), |progress| seconds.push(progress.since_last)).await;
        assert_eq!((report.ops, report.errors), (800, 0));
        assert!(about(report.p50_ms, 10.0) && about(report.max_ms, 10.0), "{report:?}");
        // What ends at the very moment of a look may be seen at the next.
        assert!(seconds.len() == 5 && seconds[1..].iter().all(|done| (198..=202).contains(done)), "{seconds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_rate_a_stall_is_felt_by_all_that_should_have_begun() {
        let begun_first = Arc::new(AtomicU64::new(0));
        let stalling = |_, meter: Meter| {
            let count = begun_first.clone();
            async move {
                while let Some(begun) = meter.next().await {
                    // One operation after the warm-up stalls for a second.
                    let stalls = count.fetch_add(1, Ordering::Relaxed) == 200;
                    tokio::time::sleep(Duration::from_millis(if stalls { 1000 } else { 1 })).await;
                    meter.ended(begun, Ok::<(), String>(()));
                }
            }
        };
        let report = drive(&plan(1, Some(100.0)), stalling, |_| {}).await;
        assert_eq!(report.ops, 400, "as many as the rate asks for");
        assert!(report.max_ms > 999.0, "{report:?}");
        // A hundred operations were to begin during the stall; a closed loop would have seen one slow one.
        assert!(report.p90_ms > 500.0, "{report:?}");
        assert!(report.p50_ms < 5.0, "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_apart_and_the_first_is_told() {
        let failing = |number, meter: Meter| async move {
            while let Some(begun) = meter.next().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
                meter.ended(begun, if number == 0 { Err("refused") } else { Ok(()) });
            }
        };
        let report = drive(&plan(2, None), failing, |_| {}).await;
        assert_eq!((report.ops, report.errors, report.first_error.as_deref()), (40, 40, Some("refused")));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_never_ends_is_dropped_and_counts_as_failed() {
        let hanging = |number, meter: Meter| async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            work(meter, 10).await;
        };
        let report = drive(&plan(2, None), hanging, |_| {}).await;
        assert_eq!((report.ops, report.errors), (400, 1));
        assert!(report.first_error.is_some_and(|error| error.contains("not ended")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_began_is_measured_where_it_arrives() {
        let arriving = |_, meter: Meter| async move {
            let begun = meter.next().await.unwrap();
            meter.over().await;
            meter.arrived(begun);
            meter.arrived(Instant::now() - Duration::from_millis(5));
        };
        let report = drive(&plan(1, None), arriving, |_| {}).await;
        assert_eq!(report.ops, 1, "what began while it was warming up doesn't count");
        assert!(about(report.max_ms, 5.0), "{report:?}");
    }
}
