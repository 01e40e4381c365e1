//! Counters and histograms, with labels of few values only.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// All metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Plans of clusters.
    pub reconciles: IntCounter,
    /// Failed writes by kind and reason.
    pub write_errors: IntCounterVec,
    /// Seconds from a plan to the end of its writes.
    pub reconcile_seconds: Histogram,
    /// Seconds that a cluster waited to be planned after it was due.
    pub queue_seconds: Histogram,
    /// Requests to the API server by kind and verb.
    pub api_requests: IntCounterVec,
    /// News from the API server that were older than what was known.
    pub stale_events: IntCounter,
    /// Creations of what was there already, because a watch had not told of it yet.
    pub stale_creates: IntCounter,
    /// Watches that broke, by kind.
    pub watch_errors: IntCounterVec,
    /// Seconds from a scheduler's demand to the pods that it asked for.
    pub growth_seconds: Histogram,
    /// Seconds from the news of a worker's death to the scheduler's answer that it knows.
    pub death_seconds: Histogram,
    /// Clusters that are known.
    pub clusters: IntGauge,
    /// Questions to schedulers that were not answered.
    pub poll_errors: IntCounter,
    /// Whether this process is the leader.
    pub leader: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    ///
    /// # Panics
    /// Never: the names are constants and differ.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let metric = IntCounter::new(name, help).expect("a constant name");
            registry.register(Box::new(metric.clone())).expect("a name of its own");
            metric
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric =
                IntCounterVec::new(Opts::new(name, help), labels).expect("a constant name");
            registry.register(Box::new(metric.clone())).expect("a name of its own");
            metric
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help).expect("a constant name");
            registry.register(Box::new(metric.clone())).expect("a name of its own");
            metric
        };
        let histogram = |name: &str, help: &str| {
            let buckets = vec![0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];
            let opts = HistogramOpts::new(name, help).buckets(buckets);
            let metric = Histogram::with_opts(opts).expect("a constant name");
            registry.register(Box::new(metric.clone())).expect("a name of its own");
            metric
        };
        Self {
            reconciles: counter("dasklet_operator_reconciles_total", "Plans of clusters"),
            write_errors: counters(
                "dasklet_operator_write_errors_total",
                "Failed writes by kind and reason",
                &["kind", "reason"],
            ),
            reconcile_seconds: histogram(
                "dasklet_operator_reconcile_seconds",
                "From a plan to the end of its writes",
            ),
            queue_seconds: histogram(
                "dasklet_operator_queue_seconds",
                "What a cluster waited to be planned after it was due",
            ),
            api_requests: counters(
                "dasklet_operator_api_requests_total",
                "Requests to the API server by kind and verb, watches apart",
                &["kind", "verb"],
            ),
            stale_events: counter(
                "dasklet_operator_stale_events_total",
                "News from the API server that were older than what was known",
            ),
            stale_creates: counter(
                "dasklet_operator_stale_creates_total",
                "Creations of what was there already",
            ),
            watch_errors: counters(
                "dasklet_operator_watch_errors_total",
                "Watches that broke, by kind",
                &["kind"],
            ),
            growth_seconds: histogram(
                "dasklet_operator_growth_seconds",
                "From a scheduler's demand to the pods that it asked for",
            ),
            death_seconds: histogram(
                "dasklet_operator_death_seconds",
                "From the news of a worker's death to the scheduler's answer that it knows",
            ),
            clusters: gauge("dasklet_operator_clusters", "Clusters that are known"),
            poll_errors: counter(
                "dasklet_operator_poll_errors_total",
                "Questions to schedulers that were not answered",
            ),
            leader: gauge("dasklet_operator_leader", "1 while this process is the leader"),
            registry,
        }
    }

    /// As Prometheus reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut bytes) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
