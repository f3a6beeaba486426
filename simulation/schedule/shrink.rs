//! The smallest schedule that still fails.
//!
//! First as few seconds as show it, then as few faults (delta debugging: leave out halves, then quarters, down to single ones), then
//! faults that do less, then fewer clients and servers; and round again, until nothing can be left out any more. Each
//! candidate is run, so the result is as sure as the runs are deterministic.

use super::{Schedule, Timed};

/// Looks for it. `fails` runs a candidate and says whether it still fails in the same way; `at_ms` is when the given one failed.
pub struct Shrink<'a> {
    /// The smallest so far that fails.
    best: Schedule,
    /// Candidates that were run.
    tried: u32,
    /// At most so many are.
    tries_max: u32,
    fails: &'a mut dyn FnMut(&Schedule) -> bool,
    told: &'a mut dyn FnMut(u32, &Schedule),
}

impl<'a> Shrink<'a> {
    /// Gives the smallest that was found, and how many candidates were run. `told` hears of each that is smaller.
    pub fn run(
        failing: Schedule,
        tries_max: u32,
        fails: &'a mut dyn FnMut(&Schedule) -> bool,
        told: &'a mut dyn FnMut(u32, &Schedule),
    ) -> (Schedule, u32) {
        let mut shrink = Shrink { best: failing, tried: 0, tries_max, fails, told };
        loop {
            let before = shrink.best.clone();
            shrink.seconds();
            shrink.faults();
            shrink.weaker();
            shrink.machines();
            if shrink.best == before || shrink.tried >= shrink.tries_max {
                return (shrink.best, shrink.tried);
            }
        }
    }

    /// Runs a candidate, and keeps it if it fails.
    fn attempt(&mut self, candidate: Schedule) -> bool {
        if candidate == self.best || self.tried >= self.tries_max {
            return false;
        }
        self.tried += 1;
        let fails = (self.fails)(&candidate);
        if fails {
            self.best = candidate;
            (self.told)(self.tried, &self.best);
        }
        fails
    }

    fn seconds(&mut self) {
        let (mut enough, mut too_few) = (self.best.seconds, 0);
        while enough - too_few > 1 {
            let seconds = too_few + (enough - too_few) / 2;
            if self.attempt(Schedule { seconds, ..self.best.clone() }) {
                enough = seconds;
            } else {
                too_few = seconds;
            }
        }
    }

    fn faults(&mut self) {
        let mut parts = 1;
        while !self.best.faults.is_empty() {
            let length = self.best.faults.len().div_ceil(parts);
            let mut from = 0;
            let mut fewer = false;
            while from < self.best.faults.len() {
                let left =
                    |(place, timed): (usize, &Timed)| (!(from..from + length).contains(&place)).then(|| timed.clone());
                let faults = self.best.faults.iter().enumerate().filter_map(left).collect();
                // What stood behind has moved to this place.
                if self.attempt(Schedule { faults, ..self.best.clone() }) {
                    fewer = true;
                } else {
                    from += length;
                }
            }
            match (fewer, length) {
                (false, 1) => return,
                (true, 1) => {}
                _ => parts = (parts * 2).min(self.best.faults.len().max(1)),
            }
        }
    }

    fn weaker(&mut self) {
        let mut place = 0;
        while let Some(timed) = self.best.faults.get(place).cloned() {
            let smaller = timed.fault.smaller().into_iter().any(|fault| {
                let mut candidate = self.best.clone();
                candidate.faults[place].fault = fault;
                self.attempt(candidate)
            });
            if !smaller {
                place += 1;
            }
        }
    }

    fn machines(&mut self) {
        while self.best.clients > 2 {
            let fewer = [2, self.best.clients / 2, self.best.clients - 1];
            let attempt = |clients: u8| self.attempt(Schedule { clients, ..self.best.clone() });
            if !fewer.into_iter().filter(|clients| *clients >= 2).any(attempt) {
                break;
            }
        }
        if self.best.servers > 3 {
            self.attempt(Schedule { servers: 3, ..self.best.clone() });
        }
    }
}
