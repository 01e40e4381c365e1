//! What would have happened, as rows and as a summary.

use std::fmt;

use serde::Serialize;

/// What would have happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// One row for each change.
    pub rows: Vec<Row>,
    /// All of it in figures.
    pub summary: Summary,
}

/// The cluster at a time at which something changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Seconds from the start.
    pub time: f64,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that run.
    pub running: u64,
    /// The size decided.
    pub desired: u32,
    /// In mode `Advise`: the size that would be decided.
    pub advised: Option<u32>,
    /// Members that start.
    pub starting: u32,
    /// Members that serve.
    pub serving: u32,
    /// Members being drained.
    pub draining: u32,
    /// What was done: `+3` created, `-2` drained, `^1` called back, `x1` removed.
    pub actions: String,
    /// Why, in words.
    pub reason: String,
}

/// A timeline in figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Length of the replay in seconds.
    pub seconds: f64,
    /// Tasks that ended.
    pub tasks: u64,
    /// Tasks that had not ended when the replay stopped.
    pub unfinished: u64,
    /// When the last task ended.
    pub last_end: f64,
    /// Seconds that members existed, all together.
    pub worker_seconds: f64,
    /// Seconds that slots were busy, all together.
    pub busy_slot_seconds: f64,
    /// Longest wait of a task for a slot, in seconds.
    pub max_queue_wait_seconds: f64,
    /// Mean wait of a task for a slot, in seconds.
    pub mean_queue_wait_seconds: f64,
    /// Most members at once.
    pub peak: u32,
    /// Decisions for more members.
    pub scale_ups: u32,
    /// Decisions for fewer members.
    pub scale_downs: u32,
    /// Members created.
    pub created: u32,
    /// Members that failed to start.
    pub failed_starts: u32,
    /// Tasks that ran again because their member died.
    pub rerun: u64,
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>9} {:>8} {:>8} {:>7} {:>8} {:>7} {:>8}  {:<10} reason",
            "time", "queued", "running", "desired", "starting", "serving", "draining", "actions"
        )?;
        for row in &self.rows {
            let advised = row.advised.map(|size| format!("advised {size}: ")).unwrap_or_default();
            writeln!(
                f,
                "{:>8.1}s {:>8} {:>8} {:>7} {:>8} {:>7} {:>8}  {:<10} {advised}{}",
                row.time,
                row.queued,
                row.running,
                row.desired,
                row.starting,
                row.serving,
                row.draining,
                row.actions,
                row.reason
            )?;
        }
        let Summary { seconds, tasks, unfinished, last_end, .. } = self.summary;
        writeln!(f)?;
        write!(f, "{tasks} tasks ended, the last after {last_end:.1} s")?;
        if unfinished > 0 {
            write!(f, "; {unfinished} had not ended after {seconds:.1} s")?;
        }
        writeln!(f, ".")?;
        writeln!(
            f,
            "Queue wait: mean {:.2} s, longest {:.2} s.",
            self.summary.mean_queue_wait_seconds, self.summary.max_queue_wait_seconds
        )?;
        writeln!(
            f,
            "Workers: {:.1} worker-seconds, {:.1} busy slot-seconds, {} at the peak, {} created, \
             {} failed starts.",
            self.summary.worker_seconds,
            self.summary.busy_slot_seconds,
            self.summary.peak,
            self.summary.created,
            self.summary.failed_starts
        )?;
        write!(
            f,
            "Decisions: {} up, {} down; {} tasks ran again.",
            self.summary.scale_ups, self.summary.scale_downs, self.summary.rerun
        )
    }
}
