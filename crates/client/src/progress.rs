//! How far a job is, as its scheduler tells it.

use dasklet_core::JobProgress;
use dasklet_protocol::v1;

/// How far a job is, and on how many workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Its tasks.
    pub tasks: JobProgress,
    /// Workers of the cluster.
    pub workers: u32,
}

impl From<v1::JobProgress> for Progress {
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
        let tasks =
            JobProgress { total, waiting, ready, running, done, failed, cancelled, recomputed };
        Self { tasks, workers }
    }
}
