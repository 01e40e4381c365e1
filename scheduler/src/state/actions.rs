//! What the state machine decides, for the shells to carry out.

use dasklet_core::{DeathCause, ErrorClass, RunId, SessionId, SpecId, TaskId, WorkerId};

/// What the shell is to do. Taken with [`State::take_actions`](super::State::take_actions) in
/// the order in which it was decided, and carried out before the next event is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to a worker.
    Worker(WorkerId, ToWorker),
    /// Send this to a client.
    Session(SessionId, ToSession),
    /// The demand may have changed: wake the long polls.
    DemandChanged,
}

/// Decisions for a worker. What a run or a definition holds is read from the state when the
/// message is written, see `State::assignment` and `State::definition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    /// Run this. Nothing is sent if the run is over by the time the message is written.
    Assign(RunId),
    /// Stop this run.
    Cancel(RunId),
    /// Return this run if it has not started.
    GiveBack(RunId),
    /// Drop the outputs of this task.
    Release(TaskId),
    /// Drop the outputs of these members, from the first to before the last.
    ReleaseRange(SpecId, u32, u32),
    /// Drop the definition and all outputs.
    Forget(SpecId),
    /// Fetch a copy of a task's outputs from this worker.
    Replicate(TaskId, WorkerId),
    /// Tell if it does not have this task's outputs.
    Confirm(TaskId),
    /// Expect a put value of a client for this task.
    ExpectPut(TaskId),
    /// Finish, give back, move away; longest time in microseconds.
    Drain(Option<u64>),
    /// Go on as before.
    Undrain,
    /// Exit.
    Shutdown,
}

/// News for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSession {
    /// A wanted task's outputs can be read.
    Done {
        /// The session's number of the description.
        local: u64,
        /// The member.
        index: u32,
        /// Who holds it.
        holder: WorkerId,
        /// All outputs together.
        nbytes: u64,
        /// A small value itself.
        inline: Option<Box<[u8]>>,
    },
    /// A wanted task ended without outputs. Details by `State::failure`.
    Failed {
        /// The session's number of the description.
        local: u64,
        /// The member.
        index: u32,
    },
    /// Many members of a description ended without outputs at once, perhaps some of them wanted:
    /// `State::ends` tells one by one.
    Ended {
        /// The session's number of the description.
        local: u64,
        /// The first member.
        start: u32,
        /// Before this member.
        end: u32,
    },
    /// A put value may be written to these workers.
    PutTarget {
        /// The session's number.
        local: u64,
        /// The value's task.
        task: TaskId,
        /// One for each copy asked for, or fewer if there are fewer.
        workers: Vec<WorkerId>,
    },
}

/// Why a task has no outputs, with all that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class of the last error.
    pub class: ErrorClass,
    /// For people: names the task, what is wrong, what to do.
    pub message: String,
    /// Key or number of the task that failed first, if this one failed for its sake.
    pub origin: Option<String>,
    /// Every attempt at the task (at the origin, if there is one).
    pub attempts: Vec<AttemptRecord>,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// 1, 2, ...
    pub number: u32,
    /// Name of the worker.
    pub worker: String,
    /// It had begun, as far as known.
    pub started: bool,
    /// How it ended.
    pub end: AttemptEnd,
    /// How long it ran, as far as known, in microseconds.
    pub micros: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Its worker, or the process that ran it, died.
    Died(DeathCause),
    /// It failed with this error.
    Error(ErrorClass, String),
}
