//! What goes into the state machine and what comes out: plain data.

pub use dasklet_core::JobProgress;
use dasklet_core::{
    DeathCause, ErrorClass, JobId, Key, Resources, RunId, SessionId, SpecId, TaskId, WorkerId,
};

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

/// What several tasks have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskOptions {
    /// What a run takes on its worker.
    pub resources: Resources,
    /// Higher first, within a job.
    pub priority: i32,
    /// Further attempts after errors of the task's own.
    pub retries: u32,
    /// Wait before such an attempt.
    pub retry_delay_micros: u64,
    /// Longest run; `None`: no limit.
    pub timeout_micros: Option<u64>,
    /// Names of workers or groups it may run on; empty: any.
    pub workers: Vec<String>,
    /// False: never run again once it may have started.
    pub idempotent: bool,
    /// False: consumers run again when it is run again.
    pub deterministic: bool,
    /// Started attempts that may die with their worker or process.
    pub max_deaths: u32,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            resources: Resources::one_slot(),
            priority: 0,
            retries: 0,
            retry_delay_micros: 0,
            timeout_micros: None,
            workers: Vec::new(),
            idempotent: true,
            deterministic: true,
            max_deaths: 3,
        }
    }
}

/// One submitted description: of a task, or of a task array.
#[derive(Debug, Clone)]
pub struct SubmittedTask {
    /// Empty: none.
    pub key: Key,
    /// What to run; the state machine never looks inside.
    pub body: Box<[u8]>,
    /// What it reads, in the order in which the body counts its inputs.
    pub dependencies: Vec<Dependency>,
    /// Index into the options given with the submission.
    pub options: u32,
    /// `None`: a described task. `Some(n)`: a task array of n members.
    pub array: Option<u32>,
    /// The index of the first member as people count; inside, indexes start at 0.
    pub first_index: u32,
    /// Number of outputs of each member, at least 1.
    pub outputs: u32,
    /// Depth-first position: lower first.
    pub order: u32,
    /// The session wants its outputs.
    pub wanted: bool,
}

/// One thing a task reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The description it comes from.
    pub source: Source,
    /// Which of its members.
    pub members: Members,
    /// Which output of these.
    pub output: Output,
}

/// Where a dependency comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A description of the same session, by its local number. It must have a lower number than
    /// the one that depends on it, or stand in the same submission.
    Local(u64),
    /// Any description that has this key.
    Key(Key),
}

/// Which members of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// One (0 for a described task).
    One(u32),
    /// The one with the consumer's own index.
    SameIndex,
    /// All: the consumer waits for the whole array.
    All,
}

/// Which output of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// This one.
    Fixed(u32),
    /// The one with the consumer's own index.
    MyIndex,
}

/// Why a submission is refused. Nothing of it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The local numbers do not follow the last accepted.
    #[error(
        "submission starts at number {got}, expected {expected}: submit tasks in order, without gaps"
    )]
    OutOfOrder {
        /// The next number of the session.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// A dependency that is not known.
    #[error(
        "task {task} depends on {dependency}, which is not known: submit it first, or check its key"
    )]
    UnknownDependency {
        /// The consumer, by key or number.
        task: String,
        /// The source, by key or number.
        dependency: String,
    },
    /// Tasks that wait for each other.
    #[error("tasks depend on each other in a circle: {}", .0.join(" -> "))]
    Cycle(
        /// The tasks of the circle, by key or number.
        Vec<String>,
    ),
    /// A member or an output that the source does not have.
    #[error("task {task} reads {what} of {dependency}, which has only {has}")]
    OutOfRange {
        /// The consumer.
        task: String,
        /// `member 7` or `output 3`.
        what: String,
        /// The source.
        dependency: String,
        /// How many there are, in words.
        has: String,
    },
    /// The key is in use by a different unfinished or wanted description.
    #[error("key '{0}' is in use by another task: choose another key, or release that task first")]
    DuplicateKey(
        /// The key.
        String,
    ),
    /// A limit of the scheduler.
    #[error("{0}")]
    Limit(
        /// Names the limit, its value and how to raise it.
        String,
    ),
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
