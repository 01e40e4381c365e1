//! How far work is.

use serde::{Deserialize, Serialize};

/// How far a job is. Members of task arrays count one each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Accepted by the scheduler.
    pub total: u64,
    /// Wait for others.
    pub waiting: u64,
    /// Could run.
    pub ready: u64,
    /// Handed to workers.
    pub running: u64,
    /// Ended well (and perhaps released since).
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Cancelled or released before they ended.
    pub cancelled: u64,
    /// Runs that repeated work whose outputs were lost.
    pub recomputed: u64,
}

impl JobProgress {
    /// Tasks that have ended, well or not.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.done + self.failed + self.cancelled
    }

    /// Nothing of it is still to run.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended() >= self.total
    }
}
