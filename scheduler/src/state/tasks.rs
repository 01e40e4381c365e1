//! Changes of a task's state, with all that is counted.

use dasklet_core::{SpecId, TaskId};

use super::{
    State, TaskState,
    members::{AGAIN, Cell, HISTORY},
    queue::{CURSOR, Entry},
    spec::{Edge, EdgeMembers, Part, Tasks},
};

impl State {
    /// Changes one task's cell and counts the change.
    pub(super) fn update(&mut self, task: TaskId, change: impl FnOnce(&mut Cell)) {
        let Some(spec) = self.specs.get_mut(task.spec) else { return };
        let (before, after) = match &mut spec.tasks {
            Tasks::One(cell) => {
                let before = *cell;
                change(cell);
                (before, *cell)
            }
            Tasks::Array(array) => {
                let before = array.members.get(task.index);
                let mut after = before;
                change(&mut after);
                array.members.set(task.index, after);
                (before, after)
            }
        };
        let (was, is) = (before.has(super::members::WANTED), after.has(super::members::WANTED));
        spec.wanted = spec.wanted + u32::from(is) - u32::from(was);
        if before.state != after.state {
            if before.state == TaskState::Delayed {
                self.due.remove(&task);
            }
            if !after.state.is_pending() && before.has(HISTORY) {
                self.history.remove(&task);
                let mut cell = spec.cell(task.index);
                cell.flags &= !HISTORY;
                spec.put_cell(task.index, cell);
            }
            let (queue, closed) = (spec.queue, spec.count(before.state, after.state, 1));
            self.tally(queue, before.state, after.state, 1);
            if closed {
                self.close(task.spec);
            }
        }
    }

    pub(super) fn clear_flag(&mut self, task: TaskId, flag: u8) {
        if let Some(spec) = self.specs.get_mut(task.spec) {
            let mut cell = spec.cell(task.index);
            if cell.has(flag) {
                cell.flags &= !flag;
                spec.put_cell(task.index, cell);
            }
        }
    }

    pub(super) fn set_flag(&mut self, task: TaskId, flag: u8) {
        if let Some(spec) = self.specs.get_mut(task.spec) {
            let mut cell = spec.cell(task.index);
            if cell.flags & flag != flag {
                cell.flags |= flag;
                spec.put_cell(task.index, cell);
            }
        }
    }

    /// Counts that `n` tasks of a description changed their state.
    pub(super) fn count(&mut self, id: SpecId, from: TaskState, to: TaskState, n: u32) {
        if n == 0 {
            return;
        }
        let Some(spec) = self.specs.get_mut(id) else { return };
        let (queue, closed) = (spec.queue, spec.count(from, to, n));
        self.tally(queue, from, to, n);
        if closed {
            self.close(id);
        }
    }

    /// Keeps the totals and the queue's listing.
    fn tally(&mut self, queue_id: u32, from: TaskState, to: TaskState, n: u32) {
        let many = u64::from(n);
        self.counters.tasks[from as usize] -= many;
        self.counters.tasks[to as usize] += many;
        if let Some(queue) = self.queues.get_mut(queue_id) {
            queue.tasks[from as usize] -= many;
            queue.tasks[to as usize] += many;
            if from == TaskState::Ready || to == TaskState::Ready {
                let class = &mut self.interned.classes[queue.class as usize];
                if from == TaskState::Ready {
                    class.ready -= many;
                    if class.ready == 0 {
                        self.interned.ready.remove(queue.class);
                    }
                } else {
                    if class.ready == 0 {
                        self.interned.ready.insert(queue.class);
                    }
                    class.ready += many;
                    if !queue.listed {
                        queue.listed = true;
                        class.queues.push(queue_id);
                        if let Some(job) = self.jobs.get_mut(&queue.job) {
                            job.served = job.served.max(self.served);
                        }
                    }
                }
            }
        }
    }

    /// The last unfinished member ended: its inputs are not needed by it any more.
    fn close(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let inputs = std::mem::take(&mut spec.inputs);
        for edge in &inputs {
            self.deactivate(edge);
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.inputs = inputs;
        }
        self.mark_dirty(id);
    }

    fn deactivate(&mut self, edge: &Edge) {
        let Some(source) = self.specs.get_mut(edge.source) else { return };
        match edge.members {
            EdgeMembers::Whole | EdgeMembers::All => {
                source.active -= 1;
                if source.active == 0 {
                    self.mark_dirty(edge.source);
                }
            }
            EdgeMembers::One(member) => {
                let Some(array) = source.array_mut() else { return };
                if let Some(consumers) = array.by_member.get_mut(&member) {
                    consumers.active -= 1;
                    if consumers.active == 0 {
                        self.checks.push(Part::of(TaskId::new(edge.source, member)));
                    }
                }
            }
            EdgeMembers::SameIndex => {}
        }
    }

    /// The inputs that belong to this member alone are there.
    pub(super) fn own_inputs_there(&self, task: TaskId) -> bool {
        let Some(spec) = self.specs.get(task.spec) else { return false };
        if !spec.array().is_some_and(|array| array.reads_same_index) {
            return true;
        }
        spec.inputs.iter().filter(|edge| edge.members == EdgeMembers::SameIndex).all(|edge| {
            self.specs
                .cell(TaskId::new(edge.source, task.index))
                .is_some_and(|cell| cell.state == TaskState::Done)
        })
    }

    /// Puts a task that is to run into its queue, or lets it wait for its inputs.
    pub(super) fn ready_or_wait(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.missing == 0 && self.own_inputs_there(task) {
            self.make_ready(task);
        } else {
            self.update(task, |cell| {
                cell.state = TaskState::Waiting;
                cell.at = super::members::NOWHERE;
            });
        }
    }

    fn make_ready(&mut self, task: TaskId) {
        self.update(task, |cell| {
            cell.state = TaskState::Ready;
            cell.at = super::members::NOWHERE;
        });
        self.enqueue(task);
    }

    /// Adds an entry to the queue. `index` [`CURSOR`]: all that was not handed out.
    fn enqueue(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        let priority = self.interned.options(spec.options).priority;
        let again = task.index != CURSOR && spec.cell(task.index).has(AGAIN);
        // What runs again goes before what never ran, within its priority.
        let generation = if again { 0 } else { spec.generation };
        let entry = Entry::new(priority, generation, spec.order, task, self.now);
        if let Some(queue) = self.queues.get_mut(spec.queue) {
            queue.push(entry);
            if queue.entries() as u64 > 4 * queue.ready() + 1024 {
                self.compact_queue(self.specs.get(task.spec).map_or(0, |spec| spec.queue));
            }
        }
    }

    fn compact_queue(&mut self, id: u32) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let specs = &self.specs;
        queue.retain(|entry| {
            entry.index == CURSOR
                || specs
                    .cell(TaskId::new(entry.spec, entry.index))
                    .is_some_and(|cell| cell.state == TaskState::Ready)
        });
    }

    /// All that this description reads as a whole is there.
    pub(super) fn unblock(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let Tasks::Array(array) = &mut spec.tasks else {
            if spec.cell(0).state == TaskState::Waiting {
                self.make_ready(TaskId::new(id, 0));
            }
            return;
        };
        let (len, next) = (array.members.len(), array.members.next);
        let each_for_itself = array.reads_same_index && !self.same_index_complete(id);
        if each_for_itself {
            for index in 0..len {
                self.wake_if_there(TaskId::new(id, index));
            }
            return;
        }
        let fresh = self.all_fresh(id, TaskState::Ready);
        self.count(id, TaskState::Waiting, TaskState::Ready, fresh);
        let mut index = 0;
        while index < len {
            let Some(array) = self.specs.get(id).and_then(|spec| spec.array()) else { return };
            if let Some((end, _)) = array.members.same(index) {
                index = end;
                continue;
            }
            if array.members.get(index).state == TaskState::Waiting {
                let task = TaskId::new(id, index);
                if index < next {
                    self.make_ready(task);
                } else {
                    self.update(task, |cell| cell.state = TaskState::Ready);
                }
            }
            index += 1;
        }
        let Some(array) = self.specs.get_mut(id).and_then(|spec| spec.array_mut()) else { return };
        if next < len && !array.cursor_queued {
            array.cursor_queued = true;
            self.enqueue(TaskId::new(id, CURSOR));
        }
    }

    /// Something that this description reads as a whole is lost: nothing of it is ready.
    pub(super) fn block(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let len = spec.len();
        let fresh = self.all_fresh(id, TaskState::Waiting);
        self.count(id, TaskState::Ready, TaskState::Waiting, fresh);
        let mut index = 0;
        while index < len {
            let Some(spec) = self.specs.get(id) else { return };
            if let Some((end, _)) = spec.array().and_then(|array| array.members.same(index)) {
                index = end;
                continue;
            }
            if spec.cell(index).state == TaskState::Ready {
                self.update(TaskId::new(id, index), |cell| cell.state = TaskState::Waiting);
            }
            index += 1;
        }
    }

    /// Sets what fresh members are; answers how many there are.
    fn all_fresh(&mut self, id: SpecId, state: TaskState) -> u32 {
        let Some(array) = self.specs.get_mut(id).and_then(|spec| spec.array_mut()) else {
            return 0;
        };
        if array.members.fresh_state == state {
            return 0;
        }
        array.members.fresh_state = state;
        array.members.fresh()
    }

    /// Every source that is read by the same index can be read from end to end.
    fn same_index_complete(&self, id: SpecId) -> bool {
        let Some(spec) = self.specs.get(id) else { return false };
        spec.inputs.iter().filter(|edge| edge.members == EdgeMembers::SameIndex).all(|edge| {
            self.specs
                .get(edge.source)
                .and_then(|source| source.array())
                .is_some_and(|array| array.available == array.members.len())
        })
    }

    /// A waiting member whose inputs have all come becomes ready.
    pub(super) fn wake_if_there(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.missing == 0
            && spec.cell(task.index).state == TaskState::Waiting
            && self.own_inputs_there(task)
        {
            self.make_ready(task);
        }
    }
}
