//! Ready tasks of one job and one resource class, in the order in which they are to run.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use dasklet_core::{JobId, SpecId, TaskId};

use super::{TaskState, Time};

/// Index of an entry that stands for all members of a task array that were not handed out yet.
pub(super) const CURSOR: u32 = u32::MAX;

/// The position of a task: lower runs first. An entry is only a hint: a task runs if it is ready
/// when its turn comes, so nothing is ever searched for or removed from the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Priority (higher first) above the submission's number.
    pub key: u64,
    pub order: u32,
    pub spec: SpecId,
    pub index: u32,
    /// Since when it could run, in milliseconds that begin again every seven weeks.
    since: u32,
}

impl Entry {
    pub fn new(priority: i32, generation: u32, order: u32, task: TaskId, now: Time) -> Self {
        let priority = !((priority as u32) ^ 0x8000_0000);
        Self {
            key: u64::from(priority) << 32 | u64::from(generation),
            order,
            spec: task.spec,
            index: task.index,
            since: (now.0 / 1000) as u32,
        }
    }

    /// How long it could have run already, in microseconds, to the millisecond.
    pub const fn waited(&self, now: Time) -> u64 {
        ((now.0 / 1000) as u32).wrapping_sub(self.since) as u64 * 1000
    }
}

/// The ready tasks of one job in one class.
#[derive(Debug)]
pub(super) struct Queue {
    pub job: JobId,
    pub class: u32,
    /// What came in order; the usual case, without the cost of a heap.
    in_order: VecDeque<Entry>,
    heap: BinaryHeap<Reverse<Entry>>,
    /// Tasks of the job in this class by [`TaskState`], forgotten ones included.
    pub tasks: [u64; TaskState::COUNT],
    /// Listed in `Class::queues`.
    pub listed: bool,
    /// Descriptions whose tasks queue here.
    pub uses: u64,
}

impl Queue {
    pub fn new(job: JobId, class: u32) -> Self {
        Self {
            job,
            class,
            in_order: VecDeque::new(),
            heap: BinaryHeap::new(),
            tasks: [0; TaskState::COUNT],
            listed: false,
            uses: 0,
        }
    }

    pub fn ready(&self) -> u64 {
        self.tasks[TaskState::Ready as usize]
    }

    pub fn push(&mut self, entry: Entry) {
        if self.in_order.back().is_none_or(|last| *last <= entry) {
            self.in_order.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    pub fn peek(&self) -> Option<Entry> {
        match (self.in_order.front(), self.heap.peek()) {
            (Some(first), Some(Reverse(top))) => Some(*first.min(top)),
            (first, top) => first.copied().or(top.map(|Reverse(top)| *top)),
        }
    }

    /// Removes what [`Queue::peek`] gave.
    pub fn pop(&mut self) {
        let heap_first = match (self.in_order.front(), self.heap.peek()) {
            (Some(first), Some(Reverse(top))) => top < first,
            (first, _) => first.is_none(),
        };
        if heap_first {
            self.heap.pop();
        } else {
            self.in_order.pop_front();
        }
    }

    pub fn entries(&self) -> usize {
        self.in_order.len() + self.heap.len()
    }

    /// Drops the entries that are no longer of use.
    pub fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.in_order.retain(&keep);
        self.heap.retain(|Reverse(entry)| keep(entry));
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.in_order.iter().chain(self.heap.iter().map(|Reverse(entry)| entry))
    }
}

/// All queues by number. A number is used again once its queue is gone.
#[derive(Debug, Default)]
pub(super) struct Queues {
    slots: Vec<Option<Queue>>,
    free: Vec<u32>,
}

impl Queues {
    pub fn add(&mut self, queue: Queue) -> u32 {
        if let Some(id) = self.free.pop() {
            self.slots[id as usize] = Some(queue);
            return id;
        }
        self.slots.push(Some(queue));
        self.slots.len() as u32 - 1
    }

    pub fn get(&self, id: u32) -> Option<&Queue> {
        self.slots.get(id as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Queue> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    pub fn remove(&mut self, id: u32) -> Option<Queue> {
        let queue = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(queue)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Queue)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(id, queue)| queue.as_ref().map(|queue| (id as u32, queue)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priority_then_submission_then_order_then_index() {
        let mut queue = Queue::new(JobId(0), 0);
        let task = |spec, index| TaskId::new(SpecId(spec), index);
        let now = Time(7_000_000);
        assert_eq!(size_of::<Entry>(), 24);
        let sorted = [
            Entry::new(5, 9, 9, task(9, 0), now),
            Entry::new(0, 1, 0, task(2, 0), now),
            Entry::new(0, 1, 3, task(1, 0), now),
            Entry::new(0, 1, 3, task(1, CURSOR), now),
            Entry::new(0, 2, 0, task(3, 0), now),
            Entry::new(-1, 0, 0, task(0, 0), now),
        ];
        for position in [3, 5, 0, 2, 4, 1] {
            queue.push(sorted[position]);
        }
        for entry in sorted {
            assert_eq!(queue.peek(), Some(entry));
            queue.pop();
        }
        assert_eq!(queue.peek(), None);
    }
}
