//! What only the shells can measure: latencies, ticks, run times as workers tell them.

use crate::{histogram::Histogram, state::Time};

/// Totals and histograms since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// From the event that led to a decision to its message being written.
    pub dispatch_seconds: Histogram,
    /// Run times of runs that ended well.
    pub run_seconds: Histogram,
    /// From a worker's death to the first run being written that makes up for it.
    pub recovery_seconds: Histogram,
    /// Ticks.
    pub ticks: u64,
    /// Longest tick since the last scrape, in microseconds.
    pub longest_tick_micros: u64,
    death: Option<Time>,
}

impl Metrics {
    /// A worker died and took work with it.
    pub fn worker_died(&mut self, now: Time) {
        self.death.get_or_insert(now);
    }

    /// Nothing is left to run: what a worker took with it is not made up for any more.
    pub const fn nothing_to_run(&mut self) {
        self.death = None;
    }

    /// Runs were written into a message, `micros` after what led to them. `recovering`: so many
    /// make up for what went with a worker.
    pub fn dispatched(&mut self, now: Time, micros: u64, runs: u64, recovering: u64) {
        self.dispatch_seconds.observe_micros(micros, runs);
        if recovering > 0
            && let Some(death) = self.death.take()
        {
            self.recovery_seconds.observe_micros(now.micros_since(death), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_counted_once_for_each_death() {
        let mut metrics = Metrics::default();
        metrics.dispatched(Time(5), 1, 1, 1);
        assert_eq!(metrics.recovery_seconds.count(), 0);
        metrics.worker_died(Time(10));
        metrics.dispatched(Time(20), 1, 1, 0);
        metrics.dispatched(Time(30), 1, 1, 1);
        metrics.dispatched(Time(40), 1, 1, 1);
        assert_eq!(metrics.recovery_seconds.count(), 1);
        assert!((metrics.recovery_seconds.sum_seconds() - 2e-5).abs() < 1e-9);
        metrics.worker_died(Time(50));
        metrics.nothing_to_run();
        metrics.dispatched(Time(60), 1, 1, 1);
        assert_eq!(metrics.recovery_seconds.count(), 1);
    }
}
