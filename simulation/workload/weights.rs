//! How much of each kind of work there is in a world: drawn from its seed, so that some worlds are crowded at one lock, and others
//! have no locks at all.

use rand::{Rng, RngExt};

use super::draw::{count, log_uniform};

/// How a lock of a world is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sharing {
    /// By one at a time.
    Exclusive,
    /// By readers, which are this share of those that come, and writers.
    Readers(f64),
    /// By so many at once.
    Permits(u32),
}

/// How much of what. Numbers of workers are for all clients together, and 0 means that there is no such work.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// About so many calls a second, of all workers together.
    pub calls_per_second: f64,
    /// Workers that take locks.
    pub lockers: u64,
    /// The locks that they take.
    pub locks: Vec<Sharing>,
    /// Longest time for which a lock is held, in milliseconds.
    pub hold_ms_max: f64,
    /// Candidates in elections.
    pub candidates: u64,
    /// The elections in which they stand.
    pub elections: u64,
    /// Who observes elections.
    pub observers: u64,
    /// Workers that open sessions with keys of their own, and let them die.
    pub mortals: u64,
    /// Workers that write keys.
    pub writers: u64,
    /// Workers that read keys.
    pub readers: u64,
    /// The keys that they write and read.
    pub keys: u64,
    /// Watchers.
    pub watchers: u64,
    /// Workers that describe locks.
    pub describers: u64,
    /// Workers that forget history.
    pub compactors: u64,
    /// Share of the writers that write within sessions, so that retries are recognised.
    pub numbered: f64,
    /// Share of the waits that are given up.
    pub cancelled: f64,
    /// Share of what is held, or open, that is abandoned.
    pub abandoned: f64,
    /// Longest TTL, in milliseconds.
    pub ttl_ms_max: f64,
}

/// The shortest TTL that the cluster allows, in milliseconds.
pub const TTL_MS_MIN: f64 = 500.0;

impl Weights {
    /// Draws them.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let lockers = some(rng, 0.85, 2, 32);
        let locks = count(rng, 1, 4);
        let mut weights = Self {
            calls_per_second: log_uniform(rng, 20.0, 100.0),
            lockers,
            locks: (0..locks).map(|_| sharing(rng)).collect(),
            hold_ms_max: log_uniform(rng, 50.0, 5_000.0),
            candidates: some(rng, 0.6, 2, 8),
            elections: count(rng, 1, 2),
            observers: some(rng, 0.4, 1, 2),
            mortals: some(rng, 0.6, 1, 6),
            writers: some(rng, 0.9, 1, 12),
            readers: some(rng, 0.9, 1, 8),
            keys: count(rng, 1, 12),
            watchers: some(rng, 0.8, 1, 8),
            describers: some(rng, 0.6, 1, 3),
            compactors: some(rng, 0.5, 1, 2),
            numbered: share(rng),
            cancelled: log_uniform(rng, 0.02, 0.4),
            abandoned: log_uniform(rng, 0.02, 0.4),
            ttl_ms_max: log_uniform(rng, 600.0, 10_000.0),
        };
        if weights.lockers + weights.candidates + weights.writers == 0 {
            weights.writers = 4;
        }
        weights
    }

    /// All workers together.
    #[must_use]
    pub fn workers(&self) -> u64 {
        let Self {
            lockers, candidates, observers, mortals, writers, readers, watchers, describers, compactors, ..
        } = self;
        lockers + candidates + observers + mortals + writers + readers + watchers + describers + compactors
    }

    /// A worker pauses about so long between two calls, in milliseconds.
    #[must_use]
    pub fn pause_ms(&self) -> f64 {
        // Watchers and observers call hardly ever.
        let calling = self.workers().saturating_sub(self.watchers + self.observers).max(1);
        calling as f64 * 1000.0 / self.calls_per_second
    }
}

/// So many with this probability, else none.
fn some(rng: &mut impl Rng, probability: f64, low: u64, high: u64) -> u64 {
    let number = count(rng, low, high);
    if rng.random_bool(probability) { number } else { 0 }
}

fn share(rng: &mut impl Rng) -> f64 {
    [0.0, 0.2, 0.5, 0.8, 1.0][rng.random_range(0..5)]
}

fn sharing(rng: &mut impl Rng) -> Sharing {
    match rng.random_range(0..4) {
        0 | 1 => Sharing::Exclusive,
        2 => Sharing::Readers(rng.random_range(0.3..0.9)),
        _ => Sharing::Permits(rng.random_range(1..=4)),
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn every_kind_is_there_in_some_worlds_and_missing_in_others() {
        let drawn: Vec<Weights> = (0..200).map(|seed| Weights::draw(&mut SmallRng::seed_from_u64(seed))).collect();
        let kinds: [fn(&Weights) -> u64; 8] = [
            |weights| weights.lockers,
            |weights| weights.candidates,
            |weights| weights.mortals,
            |weights| weights.writers,
            |weights| weights.readers,
            |weights| weights.watchers,
            |weights| weights.describers,
            |weights| weights.compactors,
        ];
        for (place, kind) in kinds.iter().enumerate() {
            assert!(drawn.iter().any(|weights| kind(weights) == 0), "kind {place} is never off");
            assert!(drawn.iter().filter(|weights| kind(weights) > 0).count() > 60, "kind {place} is hardly ever on");
        }
        assert!(drawn.iter().all(|weights| weights.workers() > 0 && weights.pause_ms() > 0.0));
        assert_eq!(Weights::draw(&mut SmallRng::seed_from_u64(3)), drawn[3]);
    }
}
