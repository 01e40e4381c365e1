//! How tasks are to be treated.

use std::time::Duration;

use dasklet_core::Resources;
use dasklet_protocol::v1;

/// How a task is to be treated. Tasks with equal options share them on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskOptions {
    /// What a run takes on its worker; empty: one cpu.
    pub resources: Resources,
    /// Higher first, within a job.
    pub priority: i32,
    /// Further attempts after errors of its own.
    pub retries: u32,
    /// Wait before such an attempt.
    pub retry_delay: Duration,
    /// Longest run; `None`: no limit.
    pub timeout: Option<Duration>,
    /// Names of workers or groups it may run on; empty: any.
    pub workers: Vec<String>,
    /// Never run again once it may have started.
    pub not_idempotent: bool,
    /// A second run may give another result: what read the first one runs again, too.
    pub not_deterministic: bool,
    /// Started attempts that may die with their worker or process; 0: the default of 3.
    pub max_deaths: u32,
}

impl TaskOptions {
    pub(crate) fn to_wire(&self) -> v1::TaskOptions {
        let amount = |(name, thousandths): (&str, u64)| v1::ResourceAmount {
            name: name.to_owned(),
            thousandths,
        };
        v1::TaskOptions {
            resources: self.resources.iter().map(amount).collect(),
            priority: self.priority,
            retries: self.retries,
            retry_delay_millis: self.retry_delay.as_millis().try_into().unwrap_or(u32::MAX),
            // A timeout below a millisecond is still a timeout.
            timeout_millis: self
                .timeout
                .map_or(0, |t| t.as_millis().clamp(1, u64::MAX.into()) as u64),
            workers: self.workers.clone(),
            not_idempotent: self.not_idempotent,
            not_deterministic: self.not_deterministic,
            max_deaths: self.max_deaths,
        }
    }
}
