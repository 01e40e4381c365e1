//! Which ready task goes to which worker.
//!
//! Jobs take turns by weighted fair share (stride scheduling, Waldspurger and Weihl 1995): the
//! job that was served least for its weight is next. A class's workers with room stand in two
//! lists, those with free resources first; the lists are hints that are checked when a worker's
//! turn comes, so no event looks at all workers.

use std::{cmp::Reverse, collections::BinaryHeap};

use dasklet_core::{TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    Action, AttemptEnd, State, TaskState, Time, ToWorker,
    classes::Mean,
    members::{AGAIN, HISTORY, REMADE},
    queue::CURSOR,
    runs::Run,
    turns::Turn,
};

/// Time from a worker's report to its next task's arrival that prefilled tasks hide.
const ROUND_TRIP_MICROS: f32 = 2_000.0;
/// Tasks longer than this are handed out one in advance for a whole worker.
const LONG_MICROS: f32 = 50_000.0;
/// Most tasks handed to one worker in advance.
const MAX_WINDOW: u32 = 1024;
/// Short tasks handed out in advance to all workers together. More would hide nothing more, and
/// leave the processor's caches.
const MAX_IN_ADVANCE: u32 = 128 << 10;
/// Workers that are looked at for one that the task did not fail on.
const MAX_AVOIDING: usize = 8;

impl State {
    /// Places ready tasks. Call it once after each batch of events.
    pub fn schedule(&mut self, now: Time) {
        self.now = now;
        self.progress_drains();
        let mut turns: BinaryHeap<Reverse<Turn>> = BinaryHeap::new();
        let ready: SmallVec<[u32; 8]> = self.interned.ready.iter().collect();
        for class in ready {
            if self.may_have_room(class) {
                self.collect_turns(class, &mut turns);
            }
        }
        while let Some(Reverse(turn)) = turns.pop() {
            let limit = turns.peek().map(|Reverse(next)| next.served);
            if let Some(again) = self.serve(turn, limit) {
                turns.push(Reverse(again));
            }
        }
        let surplus: SmallVec<[u32; 8]> = self.interned.surplus.iter().collect();
        for class in surplus {
            self.rebalance(class);
        }
        self.publish_demand();
    }

    fn may_have_room(&self, class: u32) -> bool {
        let class = &self.interned.classes[class as usize];
        !class.slots.is_empty() || !class.exact && !class.prefill.is_empty()
    }

    fn collect_turns(&mut self, class: u32, turns: &mut BinaryHeap<Reverse<Turn>>) {
        let mut listed = std::mem::take(&mut self.interned.classes[class as usize].queues);
        listed.retain(|id| {
            let Some(queue) = self.queues.get_mut(*id) else { return false };
            queue.listed = queue.ready() > 0;
            if queue.listed
                && let Some(job) = self.jobs.get(&queue.job)
            {
                let key = queue.peek().map_or(u64::MAX, |entry| entry.key);
                turns.push(Reverse(Turn { served: job.served, key, queue: *id }));
            }
            queue.listed
        });
        let queues = &mut self.interned.classes[class as usize].queues;
        listed.append(queues);
        *queues = listed;
    }

    /// Places tasks of one queue until another is due, the queue is empty, or there is no room.
    fn serve(&mut self, turn: Turn, limit: Option<f64>) -> Option<Turn> {
        let queue = self.queues.get(turn.queue)?;
        let (job_id, class_id) = (queue.job, queue.class);
        let served = self.jobs.get(&job_id)?.served;
        if served > turn.served {
            // Another queue of the same job was served meanwhile.
            return Some(Turn { served, ..turn });
        }
        self.served = self.served.max(served);
        loop {
            let task = self.peek_task(turn.queue)?;
            let mean = self.mean_of(task);
            let place = self.find_room(class_id, task, mean)?;
            self.take_task(turn.queue, task);
            self.assign(task, class_id, place);
            let charge = f64::from(mean.get().unwrap_or(1000.0).max(1.0));
            let job = self.jobs.get_mut(&job_id)?;
            job.served += charge / job.weight;
            let served = job.served;
            if limit.is_some_and(|limit| served > limit) {
                let key = self.queues.get(turn.queue)?.peek()?.key;
                return Some(Turn { served, key, queue: turn.queue });
            }
        }
    }

    /// How long a task is expected to run.
    pub(super) fn mean_of(&self, task: TaskId) -> Mean {
        let Some(spec) = self.specs.get(task.spec) else { return Mean::default() };
        match spec.array() {
            // Members are alike, and need not be like other tasks.
            Some(array) => array.mean,
            None => self.queues.get(spec.queue).map_or_else(Mean::default, |queue| {
                self.interned.classes[queue.class as usize].mean
            }),
        }
    }

    /// The queue's next task. Entries that are no longer ready are dropped.
    fn peek_task(&mut self, id: u32) -> Option<TaskId> {
        let queue = self.queues.get_mut(id)?;
        loop {
            if queue.ready() == 0 {
                return None;
            }
            let entry = queue.peek()?;
            let Some(spec) = self.specs.get_mut(entry.spec) else {
                queue.pop();
                continue;
            };
            if entry.index != CURSOR {
                if spec.cell(entry.index).state == TaskState::Ready {
                    return Some(TaskId::new(entry.spec, entry.index));
                }
                queue.pop();
                continue;
            }
            let blocked = spec.missing > 0 || spec.pending == 0;
            let Some(array) = spec.array_mut() else {
                queue.pop();
                continue;
            };
            let members = &mut array.members;
            while !blocked && members.next < members.len() {
                if let Some((end, cell)) = members.same(members.next)
                    && !cell.state.is_pending()
                {
                    members.next = end;
                } else if members.get(members.next).state == TaskState::Ready {
                    return Some(TaskId::new(entry.spec, members.next));
                } else {
                    members.next += 1;
                }
            }
            array.cursor_queued = false;
            queue.pop();
        }
    }

    /// Takes what [`State::peek_task`] gave from the queue.
    fn take_task(&mut self, id: u32, task: TaskId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        let Some(entry) = queue.peek() else { return };
        self.queue_wait.observe_micros(entry.waited(self.now), 1);
        if entry.index != CURSOR {
            queue.pop();
        } else if let Some(array) = self.specs.get_mut(task.spec).and_then(|spec| spec.array_mut())
        {
            array.members.next = task.index + 1;
        }
    }

    /// A worker for the task. `None`: nowhere at the moment.
    fn find_room(&mut self, class: u32, task: TaskId, mean: Mean) -> Option<Place> {
        let place = self.find_any_room(class, task, mean)?;
        let reads = self.specs.get(task.spec).is_some_and(|spec| !spec.inputs.is_empty());
        if !reads || self.workers.connected().len() < 2 {
            return Some(place);
        }
        Some(self.nearer(class, task, mean, place).unwrap_or(place))
    }

    fn find_any_room(&mut self, class_id: u32, task: TaskId, mean: Mean) -> Option<Place> {
        let avoid = self.avoided(task);
        let class = &mut self.interned.classes[class_id as usize];
        let mut avoided = 0;
        while let Some(id) = class.slots.front().copied() {
            let worker = self.workers.get_mut(id);
            let Some(worker) = worker.filter(|w| w.serves() && class.fits(&w.free)) else {
                class.slots.pop_front();
                if let Some(worker) = self.workers.get_mut(id) {
                    worker.listed_slots.remove(class_id);
                }
                continue;
            };
            class.slots.rotate_left(1);
            if avoid.contains(&id) && avoided < MAX_AVOIDING.min(class.slots.len()) {
                avoided += 1;
                continue;
            }
            debug_assert!(worker.capable.has(class_id));
            return Some(Place { worker: id, reserved: true, sticky: false });
        }
        if class.exact {
            return None;
        }
        let workers = self.workers.connected().len();
        while let Some(id) = class.prefill.front().copied() {
            let window = self.workers.get(id).filter(|worker| worker.serves()).map(|worker| {
                (worker.prefilled, window(workers, class.times_in(&worker.capacity), mean))
            });
            let Some((prefilled, window)) = window.filter(|(filled, window)| filled < window)
            else {
                class.prefill.pop_front();
                class.batch_left = 0;
                if let Some(worker) = self.workers.get_mut(id) {
                    worker.listed_prefill.remove(class_id);
                }
                continue;
            };
            if class.batch_left == 0 {
                // A share that leaves as much for the others, so that the end is even.
                let others = class.prefill.len() as u64 * 2;
                let share = class.ready.div_ceil(others).min(u64::from(window - prefilled));
                class.batch_left = share as u32;
            }
            class.batch_left -= 1;
            if class.batch_left == 0 {
                class.prefill.rotate_left(1);
            }
            return Some(Place { worker: id, reserved: false, sticky: false });
        }
        None
    }

    /// Workers on which the task could not run before.
    fn avoided(&self, task: TaskId) -> Vec<WorkerId> {
        let has = self.specs.cell(task).is_some_and(|cell| cell.has(HISTORY));
        if !has {
            return Vec::new();
        }
        self.history.get(&task).map(|history| history.avoid.to_vec()).unwrap_or_default()
    }

    /// Hands a ready task to a worker.
    pub(super) fn assign(&mut self, task: TaskId, class_id: u32, place: Place) {
        let (mut attempt, mut announce_start) = (1, false);
        let Some(cell) = self.specs.cell(task) else { return };
        let mut recovers = cell.has(REMADE);
        if cell.has(HISTORY)
            && let Some(history) = self.history.get(&task)
        {
            attempt = history.attempts.last().map_or(0, |(record, _)| record.number) + 1;
            announce_start = true;
            recovers |= history.attempts.last().is_some_and(|(record, worker)| {
                let died = matches!(record.end, AttemptEnd::Died(_));
                died && self.workers.get(*worker).is_none()
            });
        }
        let class = &mut self.interned.classes[class_id as usize];
        let Some(worker) = self.workers.get_mut(place.worker) else { return };
        class.runs += 1;
        let load = worker.load_index(class_id);
        worker.loads[load].assigned += 1;
        if place.reserved {
            worker.loads[load].reserved += 1;
            worker.reserve(class);
        } else {
            worker.prefilled += 1;
            if worker.listed_surplus.insert(class_id) {
                class.surplus.push_back(place.worker);
                self.interned.surplus.insert(class_id);
            }
        }
        let id = self.runs.insert(Run {
            task,
            worker: place.worker,
            class: class_id,
            position: worker.runs.len() as u32,
            attempt,
            announce_start,
            recovers,
            started: false,
            returning: false,
            abandoned: false,
            sticky: place.sticky,
            since: self.now,
        });
        worker.runs.push(id.slot);
        self.counters.assigned += 1;
        self.update(task, |cell| {
            cell.state = TaskState::Assigned;
            cell.flags &= !AGAIN;
            cell.at = id.slot;
        });
        if let Some(array) = self.specs.get_mut(task.spec).and_then(|spec| spec.array_mut()) {
            array.note_worker(place.worker.0);
        }
        self.actions.push(Action::Worker(place.worker, ToWorker::Assign(id)));
    }
}

/// Where a task goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub worker: WorkerId,
    /// There are resources free for it.
    pub reserved: bool,
    /// It goes where its inputs are, though others have more room.
    pub sticky: bool,
}

/// How many tasks one of so many workers, with so many slots for them, may have in advance:
/// enough to hide the round trip, and one for each slot where nothing is known or tasks are
/// short.
pub(super) fn window(workers: usize, slots: u32, mean: Mean) -> u32 {
    let slots = slots.clamp(1, MAX_WINDOW);
    match mean.get() {
        None => 1,
        Some(mean) if mean > LONG_MICROS => 1,
        Some(mean) => {
            let hidden = ROUND_TRIP_MICROS * slots as f32 / mean.max(0.1);
            let most = (MAX_IN_ADVANCE / workers.max(1) as u32).clamp(slots, MAX_WINDOW);
            (hidden as u32).clamp(slots, most)
        }
    }
}
