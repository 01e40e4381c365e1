//! What the shells read from the state: borrowed views for messages, plain data for people.

use dasklet_core::{Key, RunId, SpecId, TaskId, WorkerId};
use serde::Serialize;

use super::{State, TaskOptions, spec::Spec};

/// What an `Assign` message says, read when the message is written.
#[derive(Clone, Copy)]
pub struct AssignmentView<'a> {
    /// The task to run.
    pub task: TaskId,
    /// Where.
    pub worker: WorkerId,
    /// 1, 2, ...
    pub attempt: u32,
    /// The worker is to tell that it starts before it starts.
    pub announce_start: bool,
    /// It makes up for what went with a worker: a run, or outputs.
    pub recovers: bool,
    /// The task's description.
    pub spec: SpecId,
    /// The description is a task array.
    pub is_array: bool,
    pub(super) run: RunId,
    pub(super) state: &'a State,
}

impl<'a> AssignmentView<'a> {
    /// The run that this assignment is.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// What the task reads, in the order of its dependencies.
    pub fn inputs(&self) -> impl Iterator<Item = InputView<'a>> + use<'a> {
        let (state, task) = (self.state, self.task);
        let edges = state.specs.get(task.spec).map_or(&[][..], |spec| &spec.inputs);
        edges.iter().map(move |edge| state.input(task, edge))
    }
}

/// What one dependency resolves to at this moment.
#[derive(Clone, Copy)]
pub enum InputView<'a> {
    /// One output of one task.
    One {
        /// The task.
        task: TaskId,
        /// Which of its outputs.
        output: u32,
        /// Who holds it; empty if it was lost a moment ago.
        holders: &'a [WorkerId],
        /// Who may have it besides, see `State::copy_cached`.
        caches: &'a [WorkerId],
        /// Its size in bytes.
        nbytes: u64,
        /// The value itself if it is small.
        inline: Option<&'a [u8]>,
        /// It comes out differently when it is made again: what is no holder's may be older.
        varying: bool,
    },
    /// One output of every member of a task array.
    Many(ManyView<'a>),
}

/// One output of every member of a task array, in the order of their indexes.
#[derive(Clone, Copy)]
pub struct ManyView<'a> {
    /// The task array.
    pub spec: SpecId,
    /// Which output of each member.
    pub output: u32,
    /// How many members.
    pub members: u32,
    /// They come out differently when they are made again.
    pub varying: bool,
    pub(super) state: &'a State,
}

/// One member's part of a [`ManyView`].
#[derive(Debug, Clone, Copy)]
pub struct MemberInput<'a> {
    /// A worker that holds it (`u32::MAX` if it was lost a moment ago).
    pub holder: WorkerId,
    /// Its size in bytes.
    pub nbytes: u64,
    /// The value itself if it is small.
    pub inline: Option<&'a [u8]>,
}

impl<'a> ManyView<'a> {
    /// The members in the order of their indexes.
    pub fn iter(&self) -> impl Iterator<Item = MemberInput<'a>> + use<'a> {
        let view = *self;
        (0..view.members)
            .map(move |index| view.state.member_input(TaskId::new(view.spec, index), view.output))
    }
}

/// A description as workers need it.
#[derive(Clone, Copy)]
pub struct DefinitionView<'a> {
    pub(super) spec: &'a Spec,
    pub(super) options: &'a TaskOptions,
}

impl<'a> DefinitionView<'a> {
    /// The user's key; empty if none.
    #[must_use]
    pub const fn key(&self) -> &'a Key {
        &self.spec.key
    }

    /// What to run.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        &self.spec.body
    }

    /// Number of outputs of each member.
    #[must_use]
    pub const fn outputs(&self) -> u32 {
        self.spec.outputs
    }

    /// What it shares with others.
    #[must_use]
    pub const fn options(&self) -> &'a TaskOptions {
        self.options
    }

    /// The index of the first member of a task array as people count.
    #[must_use]
    pub fn first_index(&self) -> u32 {
        self.spec.shown_index(0)
    }

    /// Members of a task array; `None` for a described task.
    #[must_use]
    pub fn array(&self) -> Option<u32> {
        self.spec.is_array().then(|| self.spec.len())
    }
}

/// How a task stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskState {
    /// Waits for others.
    Waiting,
    /// Could run.
    Ready,
    /// Handed to a worker.
    Assigned,
    /// Waits for a moment: a delay before its next attempt, or the cause of a death.
    Delayed,
    /// Its outputs can be read.
    Done,
    /// It ended well and its outputs were dropped.
    Released,
    /// It ended with an error.
    Failed,
    /// It was cancelled, or nobody wanted it any more before it ended.
    Cancelled,
}

/// Which tasks [`State::tasks_page`] lists.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskFilter {
    /// Only of this job.
    pub job: Option<dasklet_core::JobId>,
    /// Only in this state.
    pub state: Option<TaskState>,
}

/// One line of `dasklet get tasks`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSummary {
    /// `spec.index`.
    pub id: String,
    /// Packed as it travels, to ask for what follows.
    pub task: u64,
    /// The user's key, with `[index]` for a member of a task array; empty if none.
    pub key: String,
    /// The job's name.
    pub job: String,
    /// How it stands.
    pub state: TaskState,
    /// The worker that runs or holds it; empty if none.
    pub worker: String,
    /// Bytes of all its outputs.
    pub nbytes: u64,
    /// Attempts so far, the present one included, as far as they are remembered.
    pub attempts: u32,
}

/// Why a task stands as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The task.
    pub task: TaskSummary,
    /// Sentences, the most important first.
    pub reasons: Vec<String>,
    /// Inputs that it still waits for (at most a hundred).
    pub waits_for: Vec<TaskSummary>,
    /// Per worker, whether it could run there now (at most a hundred).
    pub workers: Vec<WorkerExplanation>,
    /// Earlier attempts, one sentence each.
    pub attempts: Vec<String>,
}

/// Whether one worker could run a task now, and if not, what stands in the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerExplanation {
    /// The worker's name.
    pub worker: String,
    /// It could start the task now.
    pub fits: bool,
    /// What blocks it, one sentence for each condition.
    pub blocked_by: Vec<String>,
}
