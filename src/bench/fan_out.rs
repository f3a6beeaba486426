//! A run of watchers, and of others who write what they are told of.

use std::{future::Future, iter::StepBy, ops::RangeFrom};

use crate::{
    drive::{Plan, drive},
    meter::Meter,
    report::{Progress, Report},
};

/// Numbers of one writer's writes; no two writers have one in common.
pub type Numbers = StepBy<RangeFrom<u64>>;

/// As [`drive`], with these watchers, each until it is over, and so many writers more, one at least. A writer is told which of them it is, from 0
/// on. The report counts the watchers as clients.
///
/// Dropping the future ends them all.
pub async fn fan_out<W, A, B>(
    plan: &Plan,
    watchers: Vec<W>,
    writers: usize,
    mut watch: impl FnMut(W, Meter) -> A,
    mut write: impl FnMut(usize, Numbers, Meter) -> B,
    progress: impl FnMut(&Progress),
) -> Report
where
    A: Future<Output = ()> + Send + 'static,
    B: Future<Output = ()> + Send + 'static,
{
    enum Role<A, B> {
        Watcher(A),
        Writer(B),
    }

    let clients = watchers.len();
    let everybody = Plan { clients: clients + writers, ..plan.clone() };
    let mut watchers = watchers.into_iter();
    let worker = |number: usize, meter: Meter| {
        let role = match watchers.next() {
            Some(watcher) => Role::Watcher(watch(watcher, meter.clone())),
            None => {
                let writer = number.saturating_sub(clients);
                Role::Writer(write(writer, (writer as u64..).step_by(writers), meter.clone()))
            }
        };
        async move {
            match role {
                Role::Watcher(watching) => tokio::select! {
                    () = watching => {}
                    () = meter.over() => {}
                },
                Role::Writer(writing) => writing.await,
            }
        }
    };
    let report = drive(&everybody, worker, progress).await;
    Report { clients, ..report }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc, time::Duration};

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_write_has_a_number_of_its_own_and_watchers_end_when_it_is_over() {
        let plan = Plan { clients: 3, lasts: Duration::from_secs(1), warmup: Duration::ZERO, rate: Some(10.0) };
        let (seen, written) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(BTreeSet::new())));
        let watch = |watcher: &'static str, _| {
            seen.lock().push(watcher);
            std::future::pending()
        };
        let write = |_, numbers: Numbers, meter: Meter| {
            let written = written.clone();
            async move {
                for number in numbers {
                    let Some(begun) = meter.next().await else { return };
                    assert!(written.lock().insert(number), "{number} is written twice");
                    meter.arrived(begun);
                }
            }
        };
        let report = fan_out(&plan, vec!["a", "b", "c"], 2, watch, write, |_| {}).await;
        assert_eq!((report.clients, report.ops, report.errors), (3, 10, 0));
        assert_eq!((seen.lock().as_slice(), written.lock().len()), (&["a", "b", "c"][..], 10));
    }
}
