//! Histograms of durations, as Prometheus wants them.

/// Upper bounds of the histograms' buckets, in microseconds.
const BOUNDS: [u64; 20] = [
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
    3_600_000_000,
];

/// Counts by fixed buckets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum_micros: u64,
}

impl Histogram {
    /// Counts `times` observations of the same length.
    pub fn observe_micros(&mut self, micros: u64, times: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket] += times;
        self.sum_micros = self.sum_micros.saturating_add(micros.saturating_mul(times));
    }

    /// Upper bounds in seconds with the number of observations at or below each.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        BOUNDS.iter().zip(&self.buckets).map(move |(bound, count)| {
            below += count;
            (*bound as f64 / 1e6, below)
        })
    }

    /// All observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Seconds of all observations together.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_micros as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_or_below_its_bound() {
        let mut histogram = Histogram::default();
        for (micros, times) in [(10, 1), (11, 2), (u64::MAX, 4)] {
            histogram.observe_micros(micros, times);
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..3], [1, 3, 3]);
        assert_eq!(counts[counts.len() - 1], 3);
        assert_eq!(histogram.count(), 7);
    }
}
