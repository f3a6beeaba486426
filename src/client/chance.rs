//! All that this client leaves to chance: whom it asks first, how long a pause is, by which suffix a claim is known.
//!
//! It is drawn in one place, so that a simulation repeats exactly: there it comes from the seed of the world, and never
//! from a generator that outlives the world in its thread.

use std::time::Duration;

/// Any number.
#[cfg(not(madsim))]
pub(crate) fn number() -> u64 {
    rand::random()
}

/// Any number.
#[cfg(madsim)]
pub(crate) fn number() -> u64 {
    madsim::rand::random()
}

/// A number below `end`, 0 if there is none. For ends that are small beside 2^64: then all are equally likely.
pub(crate) fn below(end: usize) -> usize {
    let end = u64::try_from(end).unwrap_or(u64::MAX);
    number().checked_rem(end).and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

/// Between half of a pause and the whole, so that clients that failed together don't come back together.
pub(crate) fn jitter(whole: Duration) -> Duration {
    // As many bits as a float tells apart, as a part of one.
    let part = (number() >> 11) as f64 / (1u64 << 53) as f64;
    whole.mul_f64(0.5 + part / 2.0)
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let whole = Duration::from_millis(100);
        for _ in 0..1000 {
            let pause = jitter(whole);
            assert!(pause >= whole / 2 && pause <= whole);
        }
    }

    #[test]
    fn a_draw_stays_below_its_end() {
        assert_eq!((below(0), below(1)), (0, 0));
        for _ in 0..1000 {
            assert!(below(3) < 3);
        }
    }
}
