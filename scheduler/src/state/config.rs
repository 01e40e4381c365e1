//! What an operator of the scheduler may set.

use dasklet_core::Epoch;

/// Settings of the state machine. Times in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This life of the scheduler.
    pub epoch: Epoch,
    /// Outputs up to this many bytes may travel inside messages.
    pub inline_limit: u32,
    /// Bytes of small values kept here for tasks that will read them.
    pub inline_budget: u64,
    /// How long a session whose client is gone is kept.
    pub session_grace_micros: u64,
    /// How long put values wait for their worker to come back.
    pub irreplaceable_grace_micros: u64,
    /// How long the verdict over a task that died waits for a better known cause.
    pub cause_wait_micros: u64,
    /// Tasks that may be unfinished or kept at once.
    pub max_tasks: u64,
    /// Descriptions that may be kept at once.
    pub max_specs: u64,
    /// Sessions at once.
    pub max_sessions: u64,
    /// Jobs of one session.
    pub max_jobs: u32,
    /// Outputs of one task.
    pub max_outputs: u32,
    /// Different sets of options and resources.
    pub max_options: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            epoch: Epoch(1),
            inline_limit: 1024,
            inline_budget: 64 << 20,
            session_grace_micros: 30_000_000,
            irreplaceable_grace_micros: 10_000_000,
            cause_wait_micros: 5_000_000,
            max_tasks: 2_000_000_000,
            max_specs: 200_000_000,
            max_sessions: 10_000,
            max_jobs: 100_000,
            max_outputs: 1_000_000,
            max_options: 100_000,
        }
    }
}
