//! The tasks of which a worker has something.

use dasklet_core::TaskId;

/// A list is cleaned once it has so many entries more than twice what the worker has.
const SLACK: usize = 1024;

/// Tasks of which a worker has something, and others of which it had it: nothing is searched for
/// when it is lost.
#[derive(Debug, Default)]
pub(super) struct TaskList {
    tasks: Vec<TaskId>,
    /// Of so many it has something.
    live: u32,
}

impl TaskList {
    pub fn push(&mut self, task: TaskId) {
        self.tasks.push(task);
        self.live += 1;
    }

    /// Of one of the tasks it has nothing any more.
    pub const fn lose(&mut self) {
        self.live -= 1;
    }

    pub const fn live(&self) -> u32 {
        self.live
    }

    pub fn is_crowded(&self) -> bool {
        self.tasks.len() > 2 * self.live as usize + SLACK
    }

    /// Keeps the tasks of which the worker has something, each once.
    pub fn clean(&mut self, has: impl Fn(TaskId) -> bool) {
        self.tasks.sort_unstable();
        self.tasks.dedup();
        self.tasks.retain(|task| has(*task));
    }

    /// All entries, in no order.
    pub fn entries(&self) -> &[TaskId] {
        &self.tasks
    }

    /// Takes the entries out. The count stays until each is lost.
    pub fn take_entries(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.tasks)
    }
}
