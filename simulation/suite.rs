//! Many seeds, several at a time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use crate::run::{Options, Outcome, run};

/// Runs seeds from the first on, `jobs` at a time, and tells each outcome as it comes, in whatever order. Stops early if `told` says so (false),
/// after the worlds that run.
pub fn seeds(first: u64, count: u64, jobs: usize, options: &Options, mut told: impl FnMut(u64, Outcome) -> bool) {
    let next = AtomicU64::new(0);
    let (sender, receiver) = mpsc::sync_channel(0);
    let sender = Mutex::new(sender);
    thread::scope(|scope| {
        let worker = || {
            let Ok(sender) = sender.lock().map(|sender| sender.clone()) else { return };
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= count {
                    return;
                }
                let seed = first.wrapping_add(place);
                if sender.send((seed, run(seed, options))).is_err() {
                    return;
                }
            }
        };
        for _ in 0..jobs.max(1) {
            scope.spawn(worker);
        }
        for _ in 0..count {
            let Ok((seed, outcome)) = receiver.recv() else { return };
            if !told(seed, outcome) {
                next.store(count, Ordering::Relaxed);
                break;
            }
        }
        drop(receiver);
    });
}
