//! Totals and gauges, kept with each change.

use super::TaskState;

/// Totals since the start, and gauges. Never computed by a scan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    /// Tasks now in each [`TaskState`], in its order; those of forgotten descriptions apart.
    pub tasks: [u64; TaskState::COUNT],
    /// Tasks accepted, ever.
    pub accepted: u64,
    /// Runs that ended well, ever.
    pub finished: u64,
    /// Runs that ended with an error, ever.
    pub errors: u64,
    /// Runs that ended with their worker or process, ever.
    pub deaths: u64,
    /// Of these, runs that are to be made up for because their worker is gone, ever.
    pub interrupted: u64,
    /// Tasks run again because their outputs were lost, ever.
    pub recomputed: u64,
    /// Runs handed to workers, ever.
    pub assigned: u64,
    /// Runs returned unstarted, ever.
    pub returned: u64,
    /// Messages about runs that are over, ever.
    pub stale: u64,
    /// Time in runs that ended well, in microseconds.
    pub run_micros: u64,
    /// Workers that came, ever.
    pub workers_added: u64,
    /// Workers that went, ever.
    pub workers_removed: u64,
    /// Workers now.
    pub workers: u32,
    /// Sessions now.
    pub sessions: u32,
    /// Bytes of outputs held by workers, copies counted once each.
    pub bytes_stored: u64,
    /// Bytes of outputs held by workers, each counted once.
    pub bytes_wanted: u64,
    /// Bytes of outputs produced, ever.
    pub bytes_produced: u64,
    /// Bytes of small values kept here for tasks that will read them.
    pub bytes_inline: u64,
}

impl TaskState {
    /// How many states there are.
    pub const COUNT: usize = 8;

    /// All states in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Waiting,
        Self::Ready,
        Self::Assigned,
        Self::Delayed,
        Self::Done,
        Self::Released,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Not ended: it is to run, or runs.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Waiting | Self::Ready | Self::Assigned | Self::Delayed)
    }

    /// In one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Assigned => "assigned",
            Self::Delayed => "delayed",
            Self::Done => "done",
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Counters {
    /// Nothing is to run or runs.
    #[must_use]
    pub fn nothing_pending(&self) -> bool {
        TaskState::ALL.into_iter().all(|state| !state.is_pending() || self.in_state(state) == 0)
    }

    /// Tasks now in this state.
    #[must_use]
    pub const fn in_state(&self, state: TaskState) -> u64 {
        self.tasks[state as usize]
    }
}
