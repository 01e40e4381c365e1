//! What an operation may know about the task it runs for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dasklet_core::TaskId;

/// What an executor thread is told about the run it is in. Runs are never zero-sized ids, so
/// `u64::MAX` stands for "none".
#[derive(Debug)]
pub(crate) struct SlotFlags {
    /// The run that should stop.
    pub cancelled: AtomicU64,
    /// The run whose result nobody wants any more.
    pub abandoned: AtomicU64,
}

impl Default for SlotFlags {
    fn default() -> Self {
        Self { cancelled: AtomicU64::new(u64::MAX), abandoned: AtomicU64::new(u64::MAX) }
    }
}

/// The task an operation runs for.
#[derive(Debug)]
pub struct TaskContext {
    pub(crate) task: TaskId,
    pub(crate) run: u64,
    pub(crate) attempt: u32,
    pub(crate) outputs: u32,
    pub(crate) flags: Arc<SlotFlags>,
}

impl TaskContext {
    /// The member's index in its task array; 0 for a described task.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.task.index
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
        self.flags.cancelled.load(Ordering::Relaxed) == self.run
            || self.flags.abandoned.load(Ordering::Relaxed) == self.run
    }
}
