//! What an operation may know about the task it runs for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What an executor thread is told about the run it is in. Written under the agenda's lock, so
/// that it never concerns the next run.
#[derive(Debug, Default)]
pub(crate) struct SlotFlags {
    /// The run should stop.
    pub stop: AtomicBool,
    /// Nobody wants its result any more.
    pub abandoned: AtomicBool,
}

/// The task an operation runs for.
#[derive(Debug)]
pub struct TaskContext {
    pub(crate) index: u32,
    pub(crate) attempt: u32,
    pub(crate) outputs: u32,
    pub(crate) flags: Arc<SlotFlags>,
}

impl TaskContext {
    /// The member's index in its task array, as people count; 0 for a described task.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// 1 for the first attempt, and so on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How many outputs the task must return.
    #[must_use]
    pub fn outputs(&self) -> u32 {
        self.outputs
    }

    /// True once the task is cancelled: a long operation should look now and then, and return
    /// any error.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flags.stop.load(Ordering::Relaxed)
    }
}
