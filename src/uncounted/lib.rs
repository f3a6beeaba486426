//! In place of the crate `base2histogram`, in which openraft counts sizes of batches and steps of entries.
//!
//! Only openraft's feature `runtime-stats`, which is off here, has a way to read what it counts; but it counts all the same, and at its first
//! histogram that crate makes tables for all sixteen of its scales, of which one is used: 24 MiB of each server's memory. So here
//! nothing is counted, and every figure is 0. Of the interface there is what openraft is built with.
//!
//! It goes when that crate makes a table for a scale that is used.

use std::{fmt, marker::PhantomData};

/// A histogram that forgets what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// An empty one, which it stays.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }

    /// Forgets the value.
    pub fn record(&mut self, _value: u64) {}

    /// Forgets the value, of which there are so many.
    pub fn record_n(&mut self, _value: u64, _count: u64) {}

    /// Those of no values.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Values at some shares of all values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values there are.
    pub samples: u64,
    /// At 0.1 %.
    pub p0_1: u64,
    /// At 1 %.
    pub p1: u64,
    /// At 5 %.
    pub p5: u64,
    /// At 10 %.
    pub p10: u64,
    /// At half of them.
    pub p50: u64,
    /// At 90 %.
    pub p90: u64,
    /// At 99 %.
    pub p99: u64,
    /// At 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}

/// A picture of histograms.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// An empty one, which it stays.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Adds nothing.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "as it is called")]
    pub fn add<T>(self, _name: &str, _histogram: Histogram<T>) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not counted")
    }
}
