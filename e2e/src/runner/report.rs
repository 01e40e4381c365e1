//! How a run of scenarios went.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

/// How one scenario went.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How long it took.
    pub time: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What it measured, in seconds.
    pub measures: Vec<(String, f64)>,
}

/// How they all went.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each scenario, in the order of their runs.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// How many failed.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count()
    }

    /// Prints a line for each and the sum.
    pub fn print(&self) {
        println!();
        for outcome in &self.outcomes {
            let word = if outcome.failure.is_none() { "ok" } else { "FAILED" };
            println!("{:<28} {word:<7} {:>6.1} s", outcome.name, outcome.time.as_secs_f64());
        }
        let failed = self.failed();
        println!("scenarios: {} passed, {failed} failed", self.outcomes.len() - failed);
    }

    /// Writes what was measured, one JSON line a scenario.
    pub fn write_measures(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let measures: serde_json::Map<_, _> = outcome
                .measures
                .iter()
                .map(|(name, seconds)| (name.clone(), json!((seconds * 1e3).round() / 1e3)))
                .collect();
            let line = json!({"scenario": outcome.name, "passed": outcome.failure.is_none(),
                "seconds": outcome.time.as_secs_f64(), "measures": measures});
            text.push_str(&format!("{line}\n"));
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
