//! How far a job is.

use dasklet_protocol::v1;

/// Numbers of tasks of a job; members of task arrays count one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobProgress {
    /// Accepted by the scheduler.
    pub total: u64,
    /// Wait for others.
    pub waiting: u64,
    /// Could run.
    pub ready: u64,
    /// Handed to workers.
    pub running: u64,
    /// Ended well.
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Cancelled or released before they ended.
    pub cancelled: u64,
    /// Runs that repeated work whose outputs were lost.
    pub recomputed: u64,
    /// Workers of the cluster.
    pub workers: u32,
}

impl From<v1::JobProgress> for JobProgress {
    fn from(wire: v1::JobProgress) -> Self {
        let v1::JobProgress {
            job: _,
            total,
            waiting,
            ready,
            running,
            done,
            failed,
            cancelled,
            recomputed,
            workers,
        } = wire;
        Self { total, waiting, ready, running, done, failed, cancelled, recomputed, workers }
    }
}
