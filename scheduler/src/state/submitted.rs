//! What clients submit, and why it may be refused.

use dasklet_core::{Key, Resources};

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
