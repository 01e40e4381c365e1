//! Outputs and descriptions that nobody needs any more.

use dasklet_core::{ErrorClass, SessionId, SpecId, TaskId, WorkerId};

use super::{
    Action, LocalRange, State, TaskState, Time, ToWorker,
    members::{COPIES, INLINE, NOWHERE, REMADE, SIZES, WANTED},
    spec::{EdgeMembers, Spec},
    timers::Timer,
};

impl State {
    /// The client drops its interest. What is unfinished and needed by nobody else is cancelled.
    pub fn release(&mut self, now: Time, s: SessionId, r: LocalRange) {
        self.now = now;
        for spec in self.specs_in(s, r) {
            if let Some((start, end)) = self.members_in(spec, r) {
                self.unwant(spec, start, end);
            }
        }
        self.settle();
    }

    /// The client cancels: what is unfinished fails as cancelled, and so does what needs it.
    pub fn cancel(&mut self, now: Time, s: SessionId, r: LocalRange) {
        self.now = now;
        for spec in self.specs_in(s, r) {
            if let Some((start, end)) = self.members_in(spec, r) {
                self.cancel_members(spec, start, end);
            }
        }
        self.settle();
    }

    /// Cancels all that is unfinished in a job.
    pub fn cancel_job(&mut self, now: Time, s: SessionId, number: u32) {
        self.now = now;
        let Some(job) = self.job_of(s, number) else { return };
        let Some(session) = self.sessions.get(&s) else { return };
        let specs: Vec<SpecId> = session.locals.iter().collect();
        for id in specs {
            if let Some(spec) = self.specs.get(id)
                && spec.job == job
            {
                let len = spec.len();
                self.cancel_members(id, 0, len);
            }
        }
        self.settle();
    }

    fn cancel_members(&mut self, id: SpecId, start: u32, end: u32) {
        for index in start..end {
            let task = TaskId::new(id, index);
            if self.specs.cell(task).is_some_and(|cell| cell.state.is_pending()) {
                self.fail(task, ErrorClass::Cancelled, "it was cancelled by its client".to_owned());
                while self.settle_failing() {}
            }
        }
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
            let Some(spec) = self.specs.get(id) else { return };
            if let Some(array) = spec.array()
                && (array.members.is_gone(index)
                    || array.members.is_fresh(index) && !array.members.fresh_wanted)
            {
                index = array.members.chunk_end(index);
                continue;
            }
            if spec.cell(index).has(WANTED) {
                let task = TaskId::new(id, index);
                self.update(task, |cell| cell.flags &= !WANTED);
                if !whole {
                    self.checks.push(task);
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
            let grace = self.config.irreplaceable_grace_micros;
            self.timers.add(self.now.after_micros(grace), Timer::PutGrace(task));
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
            self.check_own_sources(task);
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
            if array.members.is_gone(index) {
                index = array.members.chunk_end(index);
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

    fn tell_known_workers(&mut self, id: SpecId, message: ToWorker) {
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

    /// Removes a description that nothing can need any more.
    fn forget(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get(id) else { return };
        let (len, is_array) = (spec.len(), spec.is_array());
        for index in 0..len {
            let task = TaskId::new(id, index);
            if self.specs.cell(task).is_some_and(|cell| cell.state == TaskState::Done) {
                self.drop_outputs(task, !is_array);
            }
        }
        self.tell_known_workers(id, ToWorker::Forget(id));
        let Some(spec) = self.specs.remove(id) else { return };
        for index in 0..len {
            let state = spec.cell(index).state;
            self.counters.tasks[state as usize] -= 1;
        }
        self.failures.remove(&id);
        self.puts.remove(&id);
        if !spec.key.is_empty() {
            let hash = self.hash_key(&spec.key);
            if self.keys.get(&hash) == Some(&id) {
                self.keys.remove(&hash);
            }
        }
        if let Some(job) = self.jobs.get_mut(&spec.job) {
            job.specs -= 1;
            let session = job.session;
            if let Some(session) = self.sessions.get_mut(&session) {
                session.locals.forget(spec.local);
            }
            self.drop_job_if_over(spec.job);
        }
        for edge in &spec.inputs {
            self.unretain(edge.source, edge.members, id);
        }
    }

    fn unretain(&mut self, source: SpecId, members: EdgeMembers, consumer: SpecId) {
        let Some(spec) = self.specs.get(source) else { return };
        let crowded = spec.consumers.len() as u64 > 2 * u64::from(spec.retained) + 8;
        let live = crowded.then(|| {
            let live = spec.consumers.iter().filter(|id| self.specs.get(**id).is_some());
            live.copied().collect()
        });
        let Some(spec) = self.specs.get_mut(source) else { return };
        spec.retained -= 1;
        if let Some(live) = live {
            spec.consumers = live;
        }
        if let Some(array) = spec.array_mut() {
            match members {
                EdgeMembers::SameIndex => array.same_index.retain(|id| *id != consumer),
                EdgeMembers::One(member) => {
                    if let Some(consumers) = array.by_member.get_mut(&member) {
                        consumers.specs.retain(|id| *id != consumer);
                        if consumers.specs.is_empty() {
                            array.by_member.remove(&member);
                        }
                    }
                }
                _ => {}
            }
        }
        if spec.retained == 0 {
            spec.consumers.clear();
            spec.consumers.shrink_to_fit();
            self.mark_dirty(source);
        }
    }

    /// Carries out all that follows from what happened.
    pub(super) fn settle(&mut self) {
        loop {
            if self.settle_failing() {
                continue;
            }
            if let Some(task) = self.needs.pop() {
                self.revive(task);
            } else if let Some(task) = self.checks.pop() {
                self.check(task);
            } else if let Some(id) = self.dirty.pop() {
                self.check_spec(id);
            } else {
                break;
            }
        }
    }
}
