//! Copies that workers keep of what they read for their own tasks, until their memory is short.
//!
//! A cache attracts tasks that read the same, and others may read from it first. Nothing relies
//! on it: it may have been dropped by the time it is asked, so it is no holder and saves no
//! output when a worker drains or dies.

use dasklet_core::{TaskId, WorkerId};

use super::{Action, State, TaskState, Time, ToWorker, members::CACHED};

impl State {
    /// A worker keeps what it read as an input.
    pub fn copy_cached(&mut self, now: Time, w: WorkerId, task: TaskId) {
        self.now = now;
        if self.workers.get(w).is_none() || self.holds(w, task) || self.caches(w, task) {
            return;
        }
        let current = self.specs.get(task.spec).is_some_and(|spec| {
            // What varies may have been made again since it was read.
            task.index < spec.len()
                && spec.cell(task.index).state == TaskState::Done
                && !spec.varying
        });
        if !current {
            return self.drop_unasked(w, task);
        }
        self.caches.entry(task).or_default().push(w);
        self.set_flag(task, CACHED);
        if let Some(array) = self.specs.get_mut(task.spec).and_then(|spec| spec.array_mut()) {
            array.note_worker(w.0);
        }
        let Some(worker) = self.workers.get_mut(w) else { return };
        worker.cached.push(task);
        if worker.cached.is_crowded() {
            let mut cached = std::mem::take(&mut worker.cached);
            cached.clean(|task| self.caches(w, task));
            if let Some(worker) = self.workers.get_mut(w) {
                worker.cached = cached;
            }
        }
    }

    /// The worker keeps a copy that is no holder's.
    pub(super) fn caches(&self, w: WorkerId, task: TaskId) -> bool {
        self.caches_of(task).contains(&w)
    }

    pub(super) fn caches_of(&self, task: TaskId) -> &[WorkerId] {
        if self.specs.cell(task).is_none_or(|cell| !cell.has(CACHED)) {
            return &[];
        }
        self.caches.get(&task).map_or(&[], |workers| workers)
    }

    /// The worker has dropped it, or holds it by now.
    pub(super) fn uncache(&mut self, task: TaskId, w: WorkerId) {
        let Some(workers) = self.caches.get_mut(&task) else { return };
        let Some(position) = workers.iter().position(|worker| *worker == w) else { return };
        workers.swap_remove(position);
        if workers.is_empty() {
            self.caches.remove(&task);
            self.clear_flag(task, CACHED);
        }
        if let Some(worker) = self.workers.get_mut(w) {
            worker.cached.lose();
        }
    }

    /// The outputs are no more what the caches have, or nobody needs them; `tell` the workers.
    pub(super) fn drop_caches(&mut self, task: TaskId, tell: bool) {
        if self.specs.cell(task).is_none_or(|cell| !cell.has(CACHED)) {
            return;
        }
        self.clear_flag(task, CACHED);
        for w in self.caches.remove(&task).unwrap_or_default() {
            if let Some(worker) = self.workers.get_mut(w) {
                worker.cached.lose();
            }
            if tell {
                self.actions.push(Action::Worker(w, ToWorker::Release(task)));
            }
        }
    }

    /// The worker is gone, and its caches with it.
    pub(super) fn forget_caches_of(&mut self, w: WorkerId) {
        let cached = self.workers.get_mut(w).map(|w| w.cached.take_entries());
        for task in cached.unwrap_or_default() {
            self.uncache(task, w);
        }
    }
}
