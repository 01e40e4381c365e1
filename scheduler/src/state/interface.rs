//! What goes into the state machine, and what is read of it: plain data.

use dasklet_core::{DeathCause, ErrorClass, JobId, Resources, SessionId, TaskId, WorkerId};

/// A moment, in microseconds of a clock that never goes back. The state machine is told the time
/// and never asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The moment `micros` later.
    #[must_use]
    pub const fn after_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to here; zero if it is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A process that offers to work.
#[derive(Debug, Clone)]
pub struct WorkerDescription {
    /// Unique in the cluster; a newer process of the same name replaces the older.
    pub name: String,
    /// Pod UID, or process id.
    pub instance: String,
    /// New for each start of the process.
    pub boot_nonce: String,
    /// The worker group, empty if none.
    pub group: String,
    /// Where its outputs are read.
    pub data_address: String,
    /// What it offers.
    pub resources: Resources,
    /// It was draining when its last connection broke.
    pub leaving: bool,
}

/// What a worker that comes back in the same epoch holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Whose outputs.
    pub task: TaskId,
    /// All outputs together.
    pub nbytes: u64,
}

/// What a finished run left.
#[derive(Debug, Clone, Copy)]
pub struct FinishedRun<'a> {
    /// Sizes of the outputs in bytes, one for each.
    pub nbytes: &'a [u64],
    /// The value of a small single output.
    pub inline: Option<&'a [u8]>,
    /// How long it ran.
    pub run_micros: u64,
}

/// An input that a run could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostInput {
    /// Whose output.
    pub task: TaskId,
    /// Who was to hold it.
    pub holder: WorkerId,
    /// The holder answered that it has not got it; otherwise it was not reached.
    pub missing: bool,
}

/// How a run failed.
#[derive(Debug, Clone)]
pub struct FailedRun {
    /// What it means for the next attempt.
    pub class: ErrorClass,
    /// For people.
    pub message: String,
    /// Inputs that could not be read, each with a holder that was tried.
    pub lost_inputs: Vec<LostInput>,
    /// How the process that ran it died (`ErrorClass::Crashed`).
    pub cause: Option<DeathCause>,
    /// How long it ran.
    pub run_micros: u64,
}

/// What a worker tells of itself at each heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WorkerMetrics {
    /// Its limit, in bytes.
    pub memory_limit: u64,
    /// Resident memory with its children, in bytes.
    pub memory_resident: u64,
    /// Outputs in memory, in bytes.
    pub bytes_stored: u64,
    /// Outputs on disk, in bytes.
    pub bytes_spilled: u64,
    /// Bytes ever spilled.
    pub spilled_total: u64,
    /// Processor time.
    pub cpu_seconds: f64,
    /// Starts nothing new.
    pub paused: bool,
    /// Bytes ever fetched from peers.
    pub transferred_in: u64,
    /// Bytes ever served to peers and clients.
    pub transferred_out: u64,
}

/// How far a job is. Members of task arrays count one each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Accepted.
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

/// A job as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSummary {
    /// Its id.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Its share relative to others.
    pub weight: f64,
    /// The session that opened it.
    pub session: SessionId,
    /// How far it is.
    pub progress: JobProgress,
}

/// What a client names of its own: members of one description, or several described tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalRange {
    /// The session's number of the (first) description.
    pub local: u64,
    /// First member.
    pub start: u32,
    /// Before this member; 0: all from `start` on.
    pub end: u32,
    /// More than 1: the described tasks `local..local + count`.
    pub count: u64,
}

impl LocalRange {
    /// The numbers that it names: the first, and the one after the last.
    #[must_use]
    pub const fn numbers(&self) -> (u64, u64) {
        let count = if self.count > 1 { self.count } else { 1 };
        (self.local, self.local.saturating_add(count))
    }

    /// Of a description with so many members, those that it names: the first, and the one after
    /// the last.
    #[must_use]
    pub fn members(&self, len: u32) -> (u32, u32) {
        if self.count > 1 {
            return (0, len);
        }
        let end = if self.end == 0 { len } else { self.end.min(len) };
        (self.start.min(end), end)
    }
}
