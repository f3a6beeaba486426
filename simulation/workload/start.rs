//! Starts the workers, each on its client's machine, and waits for them.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{SeedableRng, rngs::SmallRng};

use super::{
    Stop, Weights, elections,
    hand::{Common, Counted, Desk, Hand},
    keys, locks, reads, sessions, watches,
};
use crate::{
    history::ClientId,
    place::{JoinHandle, World},
};

/// No call takes longer, with what follows it: whoever still works then is given up.
const END_MAX: Duration = Duration::from_secs(20);

/// They work seldom.
const NEWCOMER_READERS_MAX: u64 = 2;
/// They work seldom, and look all the time.
const FORMER_READERS_MAX: u64 = 4;

/// What clients do in a world.
pub struct Workload {
    pub(super) common: Arc<Common>,
    machines: Vec<JoinHandle<()>>,
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Locker,
    Candidate,
    Observer,
    Mortal,
    Writer { numbered: bool },
    Reader,
    FormerReader,
    NewcomerReader,
    Watcher,
    Describer,
    Compactor,
}

/// Starts all workers. They work until they are told to stop.
#[must_use]
pub fn start(world: &World, weights: &Weights, seed: u64, stop: Stop) -> Workload {
    ringfence_probes::unsure::clear();
    let common = Arc::new(Common::new(world, weights, stop));
    let clients = world.clients();
    let mut machines = Vec::new();
    for (place, client) in clients.iter().enumerate() {
        // All clients in turn, so that each has about as many workers and as many kinds as the others.
        let mine = kinds(weights).into_iter().enumerate().skip(place).step_by(clients.len());
        let mine: Vec<(u64, Kind)> = mine.map(|(number, kind)| (number as u64, kind)).collect();
        machines.push(world.spawn_on_client(*client, client_works(common.clone(), *client, seed, mine)));
    }
    Workload { common, machines }
}

/// The kinds of all workers.
fn kinds(weights: &Weights) -> Vec<Kind> {
    let numbered = (weights.writers as f64 * weights.numbered).round() as u64;
    let numbers = [
        (Kind::Locker, weights.lockers),
        (Kind::Candidate, weights.candidates),
        (Kind::Observer, weights.observers),
        (Kind::Mortal, weights.mortals),
        (Kind::Writer { numbered: true }, numbered),
        (Kind::Writer { numbered: false }, weights.writers.saturating_sub(numbered)),
        (Kind::Reader, weights.readers),
        (Kind::Watcher, weights.watchers),
        (Kind::Describer, weights.describers),
        (Kind::Compactor, weights.compactors),
        (Kind::FormerReader, weights.readers.min(FORMER_READERS_MAX)),
        (Kind::NewcomerReader, weights.readers.min(NEWCOMER_READERS_MAX)),
    ];
    numbers.into_iter().flat_map(|(kind, number)| (0..number).map(move |_| kind)).collect()
}

/// All that one client does.
async fn client_works(common: Arc<Common>, me: ClientId, seed: u64, kinds: Vec<(u64, Kind)>) {
    let desk = match Desk::new(&common.world, me) {
        Ok(desk) => Arc::new(desk),
        Err(error) => panic!("client {me} can't be made: {error}"),
    };
    let mut workers = Vec::new();
    for (number, kind) in kinds {
        let rng = SmallRng::seed_from_u64(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let hand = Hand { common: common.clone(), desk: desk.clone(), rng };
        workers.push(tokio::spawn(counted(common.clone(), kind, hand)));
    }
    for worker in workers {
        // It fails only if it panics, which ends the world.
        drop(worker.await);
    }
}

async fn counted(common: Arc<Common>, kind: Kind, hand: Hand) {
    let _counted = Counted::new(&common.working);
    match kind {
        // Some of these stay, and all of them stop as soon as they are told.
        Kind::Watcher => work(kind, hand).await,
        _ => drop(common.cut.or(work(kind, hand)).await),
    }
}

fn work(kind: Kind, hand: Hand) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    match kind {
        Kind::Locker => Box::pin(locks::locker(hand)),
        Kind::Candidate => Box::pin(elections::candidate(hand)),
        Kind::Observer => Box::pin(elections::observer(hand)),
        Kind::Mortal => Box::pin(sessions::mortal(hand)),
        Kind::Writer { numbered } => Box::pin(keys::writer(hand, numbered)),
        Kind::Reader => Box::pin(reads::reader(hand)),
        Kind::FormerReader => Box::pin(reads::former_reader(hand)),
        Kind::NewcomerReader => Box::pin(reads::newcomer_reader(hand)),
        Kind::Watcher => Box::pin(watches::watcher(hand)),
        Kind::Describer => Box::pin(reads::describer(hand)),
        Kind::Compactor => Box::pin(keys::compactor(hand)),
    }
}

impl Workload {
    /// Stops the work, and waits until all calls have ended: those that don't in time are dropped. Watchers that stay to the end go on until
    /// [`final_read`](super::final_read).
    pub async fn finish(&mut self) {
        self.common.stop.stop();
        let waiting = async {
            // Who still watches needs no more calls.
            while self.common.working.load(Ordering::Relaxed) > self.common.enduring.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        drop(tokio::time::timeout(END_MAX, waiting).await);
        self.common.cut.stop();
    }

    /// Waits for everybody, a while, and drops who is still there.
    pub(super) async fn join(&mut self) {
        for mut machine in self.machines.drain(..) {
            if tokio::time::timeout(END_MAX, &mut machine).await.is_err() {
                machine.abort();
            }
        }
    }
}
