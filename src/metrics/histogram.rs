//! How often something took how long, or was how large.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Nanoseconds in a second, as seconds are told.
const NANOSECOND: f64 = 1e-9;
const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
/// From what a quick disk needs for a sync to what nobody waits for any more.
const DURATIONS: &[u64] = &[
    100 * US,
    250 * US,
    500 * US,
    MS,
    2_500 * US,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    2_500 * MS,
    5 * S,
    10 * S,
];

/// Counts values by size. An observation is two additions, and nobody waits for anybody.
#[derive(Debug)]
pub struct Histogram {
    /// The greatest value of each bucket but the last, which takes the rest.
    bounds: &'static [u64],
    /// How large a unit is in what is told.
    unit: f64,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations; told in seconds.
    pub fn of_durations() -> Histogram {
        Histogram::in_units(DURATIONS, NANOSECOND)
    }

    /// Of numbers, with the greatest value of each bucket; one more takes the rest.
    pub fn of(bounds: &'static [u64]) -> Histogram {
        Histogram::in_units(bounds, 1.0)
    }

    fn in_units(bounds: &'static [u64], unit: f64) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, unit, buckets, sum: AtomicU64::new(0) }
    }

    /// Something took this long.
    pub fn time(&self, duration: Duration) {
        self.count(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Something was this large.
    pub fn size(&self, size: usize) {
        self.count(size as u64);
    }

    fn count(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was seen so far: for each bound how many were not greater, all of them, and their sum.
    pub(super) fn seen(&self) -> Seen {
        let mut count = 0;
        let mut so_far = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let buckets = self.bounds.iter().zip(&self.buckets);
        let until =
            buckets.map(|(bound, bucket)| (*bound as f64 * self.unit, so_far(bucket))).collect();
        let count = so_far(&self.buckets[self.bounds.len()]);
        Seen { until, count, sum: self.sum.load(Ordering::Relaxed) as f64 * self.unit }
    }

    /// How many were seen so far.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

/// What a histogram has seen.
pub(super) struct Seen {
    pub(super) until: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_every_bucket_that_is_not_smaller() {
        let histogram = Histogram::of(&[1, 10, 100]);
        for size in [0, 1, 2, 10, 11, 1_000] {
            histogram.size(size);
        }
        let seen = histogram.seen();
        assert_eq!(seen.until, [(1.0, 2), (10.0, 4), (100.0, 5)]);
        assert_eq!((seen.count, seen.sum), (6, 1_024.0));
        assert_eq!(histogram.total(), 6);
    }

    #[test]
    fn durations_are_told_in_seconds() {
        let histogram = Histogram::of_durations();
        histogram.time(Duration::from_millis(1));
        histogram.time(Duration::from_secs(20));
        let seen = histogram.seen();
        let not_longer = |seconds: f64| {
            let bounds = seen.until.iter();
            let mut same = bounds.filter(|(bound, _)| (bound - seconds).abs() < 1e-12);
            same.next().expect("a bound").1
        };
        assert_eq!((not_longer(0.0005), not_longer(0.001), not_longer(10.0)), (0, 1, 1));
        assert_eq!(seen.count, 2);
        assert!((seen.sum - 20.001).abs() < 1e-9);
    }

    #[test]
    fn bounds_rise() {
        assert!(DURATIONS.is_sorted_by(|before, after| before < after));
    }
}
