//! What happens to consumers when outputs come and go.

use dasklet_core::{SpecId, TaskId};

use super::{
    State, TaskState,
    spec::{EdgeMembers, Part, Tasks},
};

impl State {
    /// The outputs of a task can be read from now on.
    pub(super) fn available(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get_mut(task.spec) else { return };
        match &mut spec.tasks {
            Tasks::One(_) => {
                if spec.active > 0 {
                    self.whole_available(task.spec);
                }
            }
            Tasks::Array(array) => {
                array.available += 1;
                let complete = array.available == array.members.len();
                let same_index = !array.same_index.is_empty();
                let by_member = !array.by_member.is_empty();
                if complete && spec.active > 0 {
                    self.whole_available(task.spec);
                }
                if by_member {
                    for consumer in self.member_consumers(task) {
                        self.one_more(consumer);
                    }
                }
                if same_index {
                    for consumer in self.same_index_consumers(task) {
                        self.wake_if_there(TaskId::new(consumer, task.index));
                    }
                }
            }
        }
    }

    fn whole_available(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let consumers = std::mem::take(&mut spec.consumers);
        for consumer in &consumers {
            self.one_more(*consumer);
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.consumers = consumers;
        }
    }

    fn one_more(&mut self, consumer: SpecId) {
        let Some(spec) = self.specs.get_mut(consumer) else { return };
        if spec.pending > 0 {
            spec.missing -= 1;
            if spec.missing == 0 {
                self.unblock(consumer);
            }
        }
    }

    /// The outputs of a task cannot be read any more. Consumers with work left wait again.
    pub(super) fn unavailable(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get_mut(task.spec) else { return };
        match &mut spec.tasks {
            Tasks::One(_) => {
                if spec.active > 0 {
                    self.whole_unavailable(task.spec);
                }
            }
            Tasks::Array(array) => {
                let complete = array.available == array.members.len();
                array.available -= 1;
                let same_index = !array.same_index.is_empty();
                let by_member = !array.by_member.is_empty();
                if complete && spec.active > 0 {
                    self.whole_unavailable(task.spec);
                }
                if by_member {
                    for consumer in self.member_consumers(task) {
                        self.one_less(consumer);
                    }
                }
                if same_index {
                    for consumer in self.same_index_consumers(task) {
                        let own = TaskId::new(consumer, task.index);
                        if self.specs.cell(own).is_some_and(|cell| cell.state == TaskState::Ready) {
                            self.update(own, |cell| cell.state = TaskState::Waiting);
                        }
                    }
                }
            }
        }
    }

    fn whole_unavailable(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let consumers = std::mem::take(&mut spec.consumers);
        for consumer in &consumers {
            self.one_less(*consumer);
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.consumers = consumers;
        }
    }

    fn one_less(&mut self, consumer: SpecId) {
        let Some(spec) = self.specs.get_mut(consumer) else { return };
        if spec.pending > 0 {
            spec.missing += 1;
            if spec.missing == 1 {
                self.block(consumer);
            }
        }
    }

    pub(super) fn member_consumers(&self, task: TaskId) -> Vec<SpecId> {
        let array = self.specs.get(task.spec).and_then(|spec| spec.array());
        array
            .and_then(|array| array.by_member.get(&task.index))
            .map(|consumers| consumers.specs.to_vec())
            .unwrap_or_default()
    }

    /// Consumers that have a member of this index.
    pub(super) fn same_index_consumers(&self, task: TaskId) -> Vec<SpecId> {
        let Some(array) = self.specs.get(task.spec).and_then(|spec| spec.array()) else {
            return Vec::new();
        };
        let has_member =
            |id: &&SpecId| self.specs.get(**id).is_some_and(|spec| task.index < spec.len());
        array.same_index.iter().filter(has_member).copied().collect()
    }

    /// Some unfinished task is to read this one's outputs.
    pub(super) fn needed(&self, task: TaskId) -> bool {
        let Some(spec) = self.specs.get(task.spec) else { return false };
        if spec.active > 0 {
            return true;
        }
        let Some(array) = spec.array() else { return false };
        array.by_member.get(&task.index).is_some_and(|consumers| consumers.active > 0)
            || array.same_index.iter().any(|id| {
                self.specs.get(*id).is_some_and(|spec| {
                    task.index < spec.len() && spec.cell(task.index).state.is_pending()
                })
            })
    }

    /// Begins to count what a description with unfinished members reads as a whole, and asks for
    /// what is not there. For new descriptions and for those that run again.
    pub(super) fn open(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let inputs = std::mem::take(&mut spec.inputs);
        let mut missing = 0;
        for edge in &inputs {
            let Some(source) = self.specs.get_mut(edge.source) else { continue };
            let there = match edge.members {
                EdgeMembers::Whole => {
                    source.active += 1;
                    source.cell(0).state == TaskState::Done
                }
                EdgeMembers::All => {
                    source.active += 1;
                    source.array().is_some_and(|array| array.available == array.members.len())
                }
                EdgeMembers::One(member) => {
                    let there = source.cell(member).state == TaskState::Done;
                    if let Some(array) = source.array_mut() {
                        array.by_member.entry(member).or_default().active += 1;
                    }
                    there
                }
                EdgeMembers::SameIndex => continue,
            };
            if there {
                continue;
            }
            missing += 1;
            match edge.members {
                EdgeMembers::Whole => self.require(TaskId::new(edge.source, 0), id),
                EdgeMembers::One(member) => self.require(TaskId::new(edge.source, member), id),
                _ => self.require_all(edge.source, id),
            }
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.missing = missing;
            spec.inputs = inputs;
        }
    }

    fn require_all(&mut self, source: SpecId, consumer: SpecId) {
        let Some(spec) = self.specs.get(source) else { return };
        let len = spec.len();
        if spec.pending == len {
            return;
        }
        for index in 0..len {
            self.require(TaskId::new(source, index), consumer);
        }
    }

    /// A source is not there: run it again if it is not to run anyhow, or fail its consumer.
    fn require(&mut self, source: TaskId, consumer: SpecId) {
        let Some(cell) = self.specs.cell(source) else { return };
        match cell.state {
            TaskState::Released => self.needs.push(source),
            TaskState::Failed | TaskState::Cancelled => {
                let failure = self.failure_for_dependents(source);
                self.failing.push((Part::all(consumer), failure));
            }
            _ => {}
        }
    }

    /// Asks for the inputs that belong to this member alone.
    pub(super) fn require_own(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if !spec.array().is_some_and(|array| array.reads_same_index) {
            return;
        }
        let sources: Vec<SpecId> = spec
            .inputs
            .iter()
            .filter(|edge| edge.members == EdgeMembers::SameIndex)
            .map(|edge| edge.source)
            .collect();
        for source in sources {
            let source = TaskId::new(source, task.index);
            let Some(cell) = self.specs.cell(source) else { continue };
            match cell.state {
                TaskState::Released => self.needs.push(source),
                TaskState::Failed | TaskState::Cancelled => {
                    let failure = self.failure_for_dependents(source);
                    self.failing.push((Part::of(task), failure));
                }
                _ => {}
            }
        }
    }
}
