//! Who holds what, what is lost, and how far back work is repeated.

use dasklet_core::{ErrorClass, TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    Action, State, TaskState, ToWorker,
    members::{AGAIN, COPIES, NOWHERE, REMADE, WANTED},
    spec::{EdgeMembers, Part},
};

impl State {
    /// The workers that hold a done task's outputs; none for any other task.
    pub(super) fn holders(&self, task: TaskId) -> SmallVec<[WorkerId; 4]> {
        let Some(cell) = self.specs.cell(task) else { return SmallVec::new() };
        if cell.state != TaskState::Done {
            return SmallVec::new();
        }
        if cell.has(COPIES) {
            return self.copies.get(&task).cloned().unwrap_or_default();
        }
        SmallVec::from_slice(&[WorkerId(cell.at)])
    }

    pub(super) fn holds(&self, worker: WorkerId, task: TaskId) -> bool {
        let Some(cell) = self.specs.cell(task) else { return false };
        cell.state == TaskState::Done
            && (cell.at == worker.0
                || cell.has(COPIES)
                    && self.copies.get(&task).is_some_and(|holders| holders.contains(&worker)))
    }

    /// Notes that a worker holds outputs, in its books.
    pub(super) fn note_held(&mut self, id: WorkerId, task: TaskId, nbytes: u64) {
        self.counters.bytes_stored += nbytes;
        let Some(worker) = self.workers.get_mut(id) else { return };
        worker.held.push(task);
        worker.held_bytes += nbytes;
        if worker.standing != super::workers::Standing::Serving {
            worker.to_move.push(task);
            self.drains_moved = true;
        }
        if worker.held.is_crowded() {
            let mut held = std::mem::take(&mut worker.held);
            // The newest is not done yet, as far as its cell says.
            held.clean(|other| other == task || self.holds(id, other));
            if let Some(worker) = self.workers.get_mut(id) {
                worker.held = held;
            }
        }
        if let Some(array) = self.specs.get_mut(task.spec).and_then(|spec| spec.array_mut()) {
            array.note_worker(id.0);
        }
    }

    /// The opposite of [`State::note_held`].
    pub(super) fn forget_held(&mut self, id: WorkerId, nbytes: u64) {
        self.counters.bytes_stored -= nbytes;
        let Some(worker) = self.workers.get_mut(id) else { return };
        worker.held.lose();
        worker.held_bytes -= nbytes;
        if worker.standing != super::workers::Standing::Serving {
            self.drains_moved = true;
        }
    }

    /// One more worker holds a done task's outputs.
    pub(super) fn add_holder(&mut self, task: TaskId, worker: WorkerId) {
        let Some(cell) = self.specs.cell(task) else { return };
        if cell.state != TaskState::Done || self.holds(worker, task) {
            return;
        }
        self.uncache(task, worker);
        let holders =
            self.copies.entry(task).or_insert_with(|| SmallVec::from_slice(&[WorkerId(cell.at)]));
        holders.push(worker);
        self.set_flag(task, COPIES);
        self.note_held(worker, task, cell.nbytes);
        self.drains_moved = true;
    }

    /// A worker no longer holds a done task's outputs.
    pub(super) fn remove_holder(&mut self, task: TaskId, worker: WorkerId) {
        if !self.holds(worker, task) {
            return;
        }
        let Some(cell) = self.specs.cell(task) else { return };
        self.forget_held(worker, cell.nbytes);
        let rest = self.copies.get_mut(&task).map(|holders| {
            holders.retain(|holder| *holder != worker);
            holders.clone()
        });
        match rest.as_deref() {
            Some([first, others @ ..]) => {
                let first = *first;
                if others.is_empty() {
                    self.copies.remove(&task);
                }
                let many = !others.is_empty();
                self.update(task, |cell| {
                    cell.at = first.0;
                    if !many {
                        cell.flags &= !COPIES;
                    }
                });
                self.now_sole(task, first, many);
            }
            _ => self.lost_outputs(task),
        }
    }

    /// A drained worker may have become the only holder.
    fn now_sole(&mut self, task: TaskId, holder: WorkerId, many: bool) {
        if many {
            for holder in self.holders(task) {
                self.now_sole(task, holder, false);
            }
            return;
        }
        if let Some(worker) = self.workers.get_mut(holder)
            && worker.standing != super::workers::Standing::Serving
        {
            worker.to_move.push(task);
            self.drains_moved = true;
        }
    }

    /// The last copy is gone.
    fn lost_outputs(&mut self, task: TaskId) {
        self.drop_caches(task, true);
        self.outputs_gone(task);
        self.unavailable(task);
        let wanted = self.specs.cell(task).is_some_and(|cell| cell.has(WANTED));
        if wanted || self.needed(task) {
            self.needs.push(task);
        } else {
            self.checks.push(Part::of(task));
        }
    }

    /// Outputs that are not there any more are needed: the task runs again, and before it what
    /// it reads, if that is not there either.
    pub(super) fn revive(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        let cell = spec.cell(task.index);
        if cell.state != TaskState::Released || !(cell.has(WANTED) || self.needed(task)) {
            return;
        }
        let (is_put, opening) = (spec.is_put, spec.pending == 0);
        let options = self.interned.options(spec.options);
        let (idempotent, deterministic) = (options.idempotent, options.deterministic);
        let job = spec.job;
        self.update(task, |cell| {
            cell.state = if is_put { TaskState::Delayed } else { TaskState::Waiting };
            cell.at = NOWHERE;
        });
        if opening {
            self.open(task.spec);
        }
        if is_put {
            return self.due_after(task, self.config.irreplaceable_grace_micros);
        }
        if !idempotent {
            let message = format!(
                "the outputs of task {} were lost with the last worker that held them, and it is not idempotent, so it is not run again: keep such outputs on workers that are drained before they go",
                self.label(task)
            );
            self.fail(task, ErrorClass::Fatal, message);
            return;
        }
        self.counters.recomputed += 1;
        if let Some(job) = self.jobs.get_mut(&job) {
            job.recomputed += 1;
        }
        self.set_flag(task, AGAIN | REMADE);
        self.require_own(task);
        if !deterministic {
            self.invalidate_consumers(task);
        }
        self.wake_if_there(task);
    }

    /// A task that gives something else each time runs again: whoever has read what it gave
    /// before runs again too, so that all results belong together.
    fn invalidate_consumers(&mut self, task: TaskId) {
        let mut work = vec![task];
        let mut seen = std::collections::HashSet::new();
        while let Some(task) = work.pop() {
            for consumer in self.consumer_tasks(task) {
                let Some(spec) = self.specs.get(consumer.spec) else { continue };
                // What must not run twice keeps what it made of the earlier outputs.
                if self.irreplaceable(spec) || !seen.insert(consumer) {
                    continue;
                }
                match spec.cell(consumer.index).state {
                    TaskState::Done => {
                        self.drop_outputs(consumer, true);
                        self.unavailable(consumer);
                        work.push(consumer);
                        self.needs.push(consumer);
                    }
                    TaskState::Assigned => {
                        self.abandon_run(consumer);
                        self.update(consumer, |cell| cell.flags |= AGAIN);
                        self.ready_or_wait(consumer);
                        work.push(consumer);
                    }
                    // It may have been done before, and its earlier outputs have been read.
                    _ => work.push(consumer),
                }
            }
        }
    }

    /// All tasks that read this one's outputs.
    fn consumer_tasks(&self, task: TaskId) -> Vec<TaskId> {
        let Some(spec) = self.specs.get(task.spec) else { return Vec::new() };
        let mut wholes = spec.consumers.to_vec();
        wholes.extend(self.member_consumers(task));
        wholes.sort_unstable();
        wholes.dedup();
        let mut tasks: Vec<TaskId> = wholes
            .into_iter()
            .filter_map(|id| self.specs.get(id).map(|spec| (id, spec.len())))
            .flat_map(|(id, len)| (0..len).map(move |index| TaskId::new(id, index)))
            .collect();
        let same = self.same_index_consumers(task);
        tasks.extend(same.into_iter().map(|id| TaskId::new(id, task.index)));
        tasks
    }

    /// A worker stored a copy, or a client's put value.
    pub fn copy_held(&mut self, now: super::Time, w: WorkerId, task: TaskId, nbytes: u64) {
        self.now = now;
        let Some(worker) = self.workers.get_mut(w) else { return };
        let copy = worker.arrived(task);
        let outdated = self.end_copying(task, w);
        if outdated == Some(true)
            && let Some(from) = copy.and_then(|copy| self.workers.get_mut(copy.from))
        {
            from.to_move.push(task);
            self.drains_moved = true;
        }
        let Some(spec) = self.specs.get(task.spec) else {
            return self.drop_unasked(w, task);
        };
        if task.index >= spec.len() {
            return;
        }
        let cell = spec.cell(task.index);
        match cell.state {
            // Asked for and up to date, or put there by a client; else it is a late message.
            TaskState::Done if outdated != Some(false) && !spec.is_put => {
                self.drop_unasked(w, task);
            }
            TaskState::Done => self.add_holder(task, w),
            TaskState::Delayed if spec.is_put => self.store_done(task, w, nbytes),
            _ => self.drop_unasked(w, task),
        }
        self.settle();
    }

    pub(super) fn drop_unasked(&mut self, w: WorkerId, task: TaskId) {
        if self.workers.get(w).is_some() && !self.runs_at(task, w) && !self.holds(w, task) {
            self.actions.push(Action::Worker(w, ToWorker::Release(task)));
        }
    }

    /// The task is handed to this worker at the moment.
    pub(super) fn runs_at(&self, task: TaskId, w: WorkerId) -> bool {
        self.specs.cell(task).is_some_and(|cell| {
            cell.state == TaskState::Assigned
                && self.runs.at(cell.at).is_some_and(|(_, run)| run.worker == w)
        })
    }

    /// A worker no longer has outputs that it held or cached.
    pub fn copy_dropped(&mut self, now: super::Time, w: WorkerId, task: TaskId) {
        self.now = now;
        self.uncache(task, w);
        if self.holds(w, task) {
            self.note_lost_put(task, w);
            self.remove_holder(task, w);
        }
        self.settle();
    }

    /// A pending task's outputs are there.
    pub(super) fn store_done(&mut self, task: TaskId, w: WorkerId, nbytes: u64) {
        self.puts.remove(&task.spec);
        self.lost_puts.remove(&task);
        self.note_held(w, task, nbytes);
        self.counters.bytes_wanted += nbytes;
        self.update(task, |cell| {
            cell.state = TaskState::Done;
            cell.flags &= !(AGAIN | REMADE);
            cell.at = w.0;
            cell.nbytes = nbytes;
        });
        self.available(task);
        self.after_done(task);
    }

    /// What follows when a task is done.
    pub(super) fn after_done(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.cell(task.index).has(WANTED) {
            self.tell_end(task);
        } else if spec.active == 0 {
            self.checks.push(Part::of(task));
        }
        self.check_own_sources(Part::of(task));
    }

    /// What a source edge resolves to for a consumer's member.
    pub(super) fn source_task(task: TaskId, edge: &super::spec::Edge) -> Option<TaskId> {
        match edge.members {
            EdgeMembers::Whole => Some(TaskId::new(edge.source, 0)),
            EdgeMembers::One(member) => Some(TaskId::new(edge.source, member)),
            EdgeMembers::SameIndex => Some(TaskId::new(edge.source, task.index)),
            EdgeMembers::All => None,
        }
    }
}
