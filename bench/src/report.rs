//! The one line that a run prints.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cluster::Cluster;

/// Figures of one run, in the order in which they were added.
#[derive(Debug)]
pub struct Report(Map<String, Value>);

impl Report {
    /// Of this benchmark.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Map::new()).with("name", name)
    }

    /// Adds a parameter or a figure; fractions keep four digits behind the point.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let value = match value.as_f64() {
            Some(number) if value.is_f64() => json!((number * 1e4).round() / 1e4),
            _ => value,
        };
        self.0.insert(name.to_owned(), value);
        self
    }

    /// Adds time and rate, and the processor time that a cluster has used since its mark.
    pub fn with_rate(self, tasks: u64, seconds: f64, cluster: &Cluster) -> Result<Self> {
        let (cpu, each) = cluster.cpu_since_mark()?;
        Ok(self
            .with("seconds", seconds)
            .with("tasks_per_second", (tasks as f64 / seconds).round())
            .with("cpu_us_per_task", cpu * 1e6 / tasks as f64)
            .with("cpu_seconds", each))
    }

    /// Adds the median and the 99th percentile of microseconds.
    #[must_use]
    pub fn with_percentiles(self, micros: &mut [f64]) -> Self {
        micros.sort_by(f64::total_cmp);
        let at = |share: f64| micros[((micros.len() - 1) as f64 * share).round() as usize];
        self.with("p50_us", at(0.5)).with("p99_us", at(0.99))
    }

    /// Prints it.
    pub fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}
