//! Outputs and descriptions that nobody needs any more.

use dasklet_core::{SessionId, SpecId, TaskId, WorkerId};

use super::{
    Action, LocalRange, State, TaskState, Time, ToWorker,
    members::{COPIES, Cell, INLINE, NOWHERE, REMADE, SIZES, WANTED},
    spec::{Part, Spec},
};

impl State {
    /// The client drops its interest. What is unfinished and needed by nobody else is cancelled.
    pub fn release(&mut self, now: Time, s: SessionId, r: LocalRange) {
        self.now = now;
        for (spec, start, end) in self.parts_in(s, r) {
            self.unwant(spec, start, end);
        }
        self.settle();
    }

    /// The client cancels: what is unfinished fails as cancelled, and so does what needs it.
    pub fn cancel(&mut self, now: Time, s: SessionId, r: LocalRange) {
        self.now = now;
        for (spec, start, end) in self.parts_in(s, r) {
            self.cancel_members(spec, start, end);
        }
        self.settle();
    }

    pub(super) fn cancel_members(&mut self, spec: SpecId, start: u32, end: u32) {
        self.failing.push((Part { spec, start, end }, self.cancelled.clone()));
        while self.settle_failing() {}
    }

    /// The session does not want these members any more.
    pub(super) fn unwant(&mut self, id: SpecId, start: u32, end: u32) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        spec.expecting = false;
        let len = spec.len();
        let end = end.min(len);
        let whole = start == 0 && end == len;
        if whole
            && let Some(array) = spec.array_mut()
            && array.members.fresh_wanted
        {
            array.members.fresh_wanted = false;
            let fresh = array.members.fresh();
            spec.wanted -= fresh;
        }
        let mut index = start;
        while index < end {
            let Some(spec) = self.specs.get_mut(id) else { return };
            let members = spec.array_mut().map(|array| &mut array.members);
            if let Some(members) = members
                && let Some((next, cell)) = members.same(index)
            {
                if !cell.has(WANTED) {
                    index = next;
                    continue;
                }
                if !cell.state.is_pending() && members.same_within(index, end).is_some() {
                    members.set_same(index, Cell { flags: cell.flags & !WANTED, ..cell });
                    spec.wanted -= next - index;
                    index = next;
                    continue;
                }
            }
            if spec.cell(index).has(WANTED) {
                let task = TaskId::new(id, index);
                self.update(task, |cell| cell.flags &= !WANTED);
                if !whole {
                    self.checks.push(Part::of(task));
                }
            }
            index += 1;
        }
        // Single members are looked at one by one: a look at all would make a release of one
        // member after the other quadratic.
        if whole || self.specs.get(id).is_some_and(|spec| spec.wanted == 0) {
            self.mark_dirty(id);
        }
    }

    pub(super) fn mark_dirty(&mut self, id: SpecId) {
        if let Some(spec) = self.specs.get_mut(id)
            && !spec.dirty
        {
            spec.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Its outputs, once lost, would not come again.
    pub(super) fn irreplaceable(&self, spec: &Spec) -> bool {
        spec.is_put || !self.interned.options(spec.options).idempotent
    }

    /// Looks whether anybody needs a task or its outputs.
    pub(super) fn check(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if task.index >= spec.len() {
            return;
        }
        let cell = spec.cell(task.index);
        let kept = cell.has(WANTED)
            || spec.expecting
            || cell.state == TaskState::Done && spec.retained > 0 && self.irreplaceable(spec)
            || self.needed(task);
        if kept && spec.is_put && cell.state == TaskState::Delayed && !cell.has(WANTED) {
            // Its client may never write it: who waits for it is not to wait for ever.
            if !self.due.contains_key(&task) {
                self.due_after(task, self.config.irreplaceable_grace_micros);
            }
        }
        if cell.state == TaskState::Done && cell.has(INLINE) && !self.needed(task) {
            self.drop_inline(task);
        }
        if !kept && cell.state == TaskState::Done {
            self.drop_outputs(task, true);
            self.unavailable(task);
        } else if !kept && cell.state.is_pending() {
            self.abandon_run(task);
            self.update(task, |cell| {
                let done_before = cell.has(REMADE);
                cell.state = if done_before { TaskState::Released } else { TaskState::Cancelled };
                cell.flags &= WANTED;
                cell.at = NOWHERE;
            });
            self.check_own_sources(Part::of(task));
        }
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.pending == 0 && spec.wanted == 0 && spec.retained == 0 && !spec.expecting {
            self.mark_dirty(task.spec);
        }
    }

    /// Looks at a whole description: its members, and whether it can be forgotten.
    pub(super) fn check_spec(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        spec.dirty = false;
        let retained_data = spec.retained > 0;
        let Some(spec) = self.specs.get(id) else { return };
        let forgettable = spec.wanted == 0 && spec.retained == 0 && !spec.expecting;
        if !spec.is_array() {
            self.check(TaskId::new(id, 0));
        } else if spec.active == 0 && !spec.expecting && spec.wanted < spec.len() {
            let all_go = spec.wanted == 0
                && !(retained_data && self.irreplaceable(spec))
                && spec.pending == 0
                && spec.array().is_some_and(|array| {
                    array.same_index.is_empty()
                        && array.by_member.values().all(|consumers| consumers.active == 0)
                });
            self.check_members(id, all_go, forgettable);
        }
        let Some(spec) = self.specs.get(id) else { return };
        if spec.pending == 0 && spec.wanted == 0 && spec.retained == 0 && !spec.expecting {
            self.forget(id);
        }
    }

    fn check_members(&mut self, id: SpecId, all_go: bool, forgettable: bool) {
        let Some(spec) = self.specs.get(id) else { return };
        let len = spec.len();
        let mut dropped = false;
        let mut index = 0;
        while index < len {
            let Some(spec) = self.specs.get(id) else { return };
            let Some(array) = spec.array() else { return };
            if let Some((next, cell)) = array.members.same(index)
                && !cell.state.is_pending()
            {
                index = next;
                continue;
            }
            if let Some(next) = self.drop_untouched(id, index, len) {
                index = next;
                continue;
            }
            let task = TaskId::new(id, index);
            if !all_go {
                self.check(task);
            } else if array.members.get(index).state == TaskState::Done {
                // One word to each worker releases them all.
                self.drop_outputs(task, false);
                self.unavailable(task);
                dropped = true;
            }
            index += 1;
        }
        if dropped && !forgettable {
            self.tell_known_workers(id, ToWorker::ReleaseRange(id, 0, len));
        }
    }

    /// Cancels the members of a chunk that were never touched, if it lies before `end` and nobody
    /// needs any of them. Answers where it ends.
    fn drop_untouched(&mut self, id: SpecId, start: u32, end: u32) -> Option<u32> {
        let spec = self.specs.get(id).filter(|spec| spec.active == 0 && !spec.expecting)?;
        let array = spec.array().filter(|array| array.by_member.is_empty())?;
        let (next, cell) = array.members.same_within(start, end)?;
        let has_ended = |consumer: &SpecId| {
            let array = self.specs.get(*consumer).and_then(|spec| spec.array());
            let members = array.map(|array| &array.members);
            members.is_none_or(|members| {
                start >= members.len()
                    || members.same(start).is_some_and(|(_, cell)| !cell.state.is_pending())
            })
        };
        if cell.has(WANTED) || !cell.state.is_pending() || !array.same_index.iter().all(has_ended) {
            return None;
        }
        let state = TaskState::Cancelled;
        if let Some(array) = self.specs.get_mut(id).and_then(|spec| spec.array_mut()) {
            array.members.set_same(start, Cell { state, ..cell });
        }
        self.count(id, cell.state, state, next - start);
        self.check_own_sources(Part { spec: id, start, end: next });
        Some(next)
    }

    /// Looks whether anybody needs members of a description.
    fn check_part(&mut self, part: Part) {
        let len = self.specs.get(part.spec).map_or(0, |spec| spec.len());
        let end = part.end.min(len);
        let mut index = part.start;
        while index < end {
            let array = self.specs.get(part.spec).and_then(|spec| spec.array());
            let ended = array
                .and_then(|array| array.members.same_within(index, end))
                .filter(|(_, cell)| !cell.state.is_pending())
                .map(|(next, _)| next);
            if let Some(next) = ended.or_else(|| self.drop_untouched(part.spec, index, end)) {
                // The last one finds out whether all is over.
                index = next - 1;
            }
            self.check(TaskId::new(part.spec, index));
            index += 1;
        }
    }

    pub(super) fn tell_known_workers(&mut self, id: SpecId, message: ToWorker) {
        let Some(array) = self.specs.get(id).and_then(|spec| spec.array()) else { return };
        for worker in array.known_workers() {
            let worker = WorkerId(worker);
            if self.workers.get(worker).is_some() {
                self.actions.push(Action::Worker(worker, message.clone()));
            }
        }
    }

    /// Drops a done task's outputs everywhere.
    pub(super) fn drop_outputs(&mut self, task: TaskId, tell: bool) {
        let Some(cell) = self.specs.cell(task) else { return };
        self.drop_caches(task, tell);
        for holder in self.holders(task) {
            self.forget_held(holder, cell.nbytes);
            if tell {
                self.actions.push(Action::Worker(holder, ToWorker::Release(task)));
            }
        }
        self.outputs_gone(task);
    }

    /// The task has no outputs any more; who held them knows.
    pub(super) fn outputs_gone(&mut self, task: TaskId) {
        let Some(cell) = self.specs.cell(task) else { return };
        if cell.has(INLINE) {
            self.drop_inline(task);
        }
        if cell.has(COPIES) {
            self.copies.remove(&task);
        }
        if cell.has(SIZES) {
            self.sizes.remove(&task);
        }
        if let Some(copying) = self.copying.get_mut(&task) {
            copying.iter_mut().for_each(|(_, old)| *old = true);
        }
        self.counters.bytes_wanted -= cell.nbytes;
        self.update(task, |cell| {
            cell.state = TaskState::Released;
            cell.flags &= WANTED;
            cell.at = NOWHERE;
            cell.nbytes = 0;
        });
    }

    pub(super) fn drop_inline(&mut self, task: TaskId) {
        if let Some(value) = self.inline.remove(&task) {
            self.counters.bytes_inline -= value.len() as u64;
        }
        self.clear_flag(task, INLINE);
    }

    /// Carries out all that follows from what happened.
    pub(super) fn settle(&mut self) {
        loop {
            if self.settle_failing() {
                continue;
            }
            if let Some(task) = self.needs.pop() {
                self.revive(task);
            } else if let Some(part) = self.checks.pop() {
                self.check_part(part);
            } else if let Some(id) = self.dirty.pop() {
                self.check_spec(id);
            } else {
                break;
            }
        }
    }
}
