//! Draws from a seeded generator.

use std::time::Duration;

use rand::{Rng, RngExt};

/// A number between two, each order of magnitude equally likely. `low` is greater than 0.
pub fn log_uniform(rng: &mut impl Rng, low: f64, high: f64) -> f64 {
    low * (high / low).powf(rng.random::<f64>())
}

/// A whole number from `low` (1 or more) to `high`, each order of magnitude equally likely.
pub fn count(rng: &mut impl Rng, low: u64, high: u64) -> u64 {
    let drawn = log_uniform(rng, low as f64, high as f64 + 1.0);
    (drawn as u64).clamp(low, high)
}

/// A time, each order of magnitude equally likely; in milliseconds.
pub fn time(rng: &mut impl Rng, low_ms: f64, high_ms: f64) -> Duration {
    Duration::from_micros((log_uniform(rng, low_ms, high_ms) * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn draws_stay_within_their_bounds_and_reach_all_magnitudes() {
        let mut rng = SmallRng::seed_from_u64(7);
        let drawn: Vec<u64> = (0..3000).map(|_| count(&mut rng, 1, 1000)).collect();
        assert!(drawn.iter().all(|number| (1..=1000).contains(number)));
        for (low, high) in [(1, 10), (10, 100), (100, 1000)] {
            let share = drawn.iter().filter(|number| (low..high).contains(*number)).count();
            assert!((700..1300).contains(&share), "{share} of 3000 between {low} and {high}");
        }
        assert_eq!(count(&mut rng, 1, 1), 1);
    }
}
