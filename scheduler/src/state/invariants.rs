//! Everything that must hold between events, walked from end to end. For tests.

use std::collections::{HashMap, HashSet, VecDeque};

use dasklet_core::{SpecId, TaskId, WorkerId};

use super::{
    State, TaskState, Time,
    members::{CACHED, COPIES, HISTORY, INLINE, WANTED},
    queue::CURSOR,
    spec::{EdgeMembers, Spec},
    timers::Timer,
};

impl State {
    /// Panics if something does not hold that must, naming it.
    pub fn check_invariants(&self) {
        assert!(
            self.failing.is_empty()
                && self.needs.is_empty()
                && self.checks.is_empty()
                && self.dirty.is_empty(),
            "work is left over between events"
        );
        self.check_counts();
        let mut held: HashMap<WorkerId, u64> = HashMap::new();
        let queued: HashSet<(u32, SpecId, u32)> = self
            .queues
            .iter()
            .flat_map(|(id, queue)| queue.iter().map(move |entry| (id, entry.spec, entry.index)))
            .collect();
        let timed: HashSet<(TaskId, Time)> = self
            .timers
            .iter()
            .filter_map(|(at, timer)| match timer {
                Timer::Due(task) => Some((task, at)),
                _ => None,
            })
            .collect();
        for (task, at) in &self.due {
            assert!(timed.contains(&(*task, *at)), "{task} is due and has no timer");
            let cell = self.specs.cell(*task);
            let delayed = cell.is_some_and(|cell| cell.state == TaskState::Delayed);
            assert!(delayed, "{task} is due and not delayed");
        }
        for task in self.lost_puts.keys() {
            let cell = self.specs.cell(*task).expect("a lost put value is remembered");
            assert_ne!(cell.state, TaskState::Done, "{task} is lost and there");
        }
        let mut bytes = 0;
        for (id, spec) in self.specs.iter() {
            self.check_description(id, spec);
            for index in 0..spec.len() {
                bytes += self.check_cell(TaskId::new(id, index), spec, &queued, &mut held);
            }
        }
        assert_eq!(self.counters.bytes_wanted, bytes, "bytes of wanted outputs");
        self.check_shared();
        self.check_runs();
        self.check_workers(&held);
        self.check_queues();
    }

    fn check_counts(&self) {
        let mut tasks = [0u64; TaskState::COUNT];
        let mut pending_by_queue: HashMap<(u32, TaskState), u64> = HashMap::new();
        let mut specs_by_job = HashMap::new();
        for (_, spec) in self.specs.iter() {
            *specs_by_job.entry(spec.job).or_insert(0u64) += 1;
            for index in 0..spec.len() {
                let state = spec.cell(index).state;
                tasks[state as usize] += 1;
                if state.is_pending() {
                    *pending_by_queue.entry((spec.queue, state)).or_default() += 1;
                }
            }
        }
        assert_eq!(self.counters.tasks, tasks, "tasks by state");
        let mut ready = vec![0; self.interned.classes.len()];
        for (id, queue) in self.queues.iter() {
            for state in TaskState::ALL.into_iter().filter(|state| state.is_pending()) {
                let counted = pending_by_queue.get(&(id, state)).copied().unwrap_or(0);
                assert_eq!(queue.tasks[state as usize], counted, "{state:?} tasks of queue {id}");
            }
            ready[queue.class as usize] += queue.ready();
        }
        for (class, ready) in self.interned.classes.iter().zip(ready) {
            assert_eq!(class.ready, ready, "ready tasks of a class");
        }
        for (id, job) in &self.jobs {
            let counted = specs_by_job.get(id).copied().unwrap_or(0);
            assert_eq!(job.specs, counted, "descriptions of job {id}");
            let listed: HashSet<SpecId> = self.specs_of_job(*id).into_iter().collect();
            assert_eq!(listed.len() as u64, counted, "list of job {id}");
            let of_job = |spec: &SpecId| self.specs.get(*spec).is_some_and(|spec| spec.job == *id);
            assert!(listed.iter().all(of_job), "list of job {id}");
        }
    }

    /// Options, classes and queues are there as long as something has them.
    fn check_shared(&self) {
        let mut uses: HashMap<u32, u32> = HashMap::new();
        let mut queued: HashMap<u32, u64> = HashMap::new();
        for (id, spec) in self.specs.iter() {
            *uses.entry(spec.options).or_default() += 1;
            *queued.entry(spec.queue).or_default() += 1;
            let class = self.queues.get(spec.queue).map(|queue| queue.class);
            assert_eq!(class, Some(self.interned.class_of(spec.options)), "queue of {id}");
        }
        self.interned.check(&uses);
        for (id, queue) in self.queues.iter() {
            assert_eq!(Some(&queue.uses), queued.get(&id), "uses of queue {id}");
            let job = self.jobs.get(&queue.job);
            let known = job.and_then(|job| job.queues.get(&queue.class));
            assert_eq!(known, Some(&id), "queue {id} among those of its job");
        }
        for (id, job) in &self.jobs {
            for (class, queue) in &job.queues {
                let found = self.queues.get(*queue).map(|queue| (queue.job, queue.class));
                assert_eq!(found, Some((*id, *class)), "queue {queue} of job {id}");
            }
            let open = TaskState::ALL.into_iter().filter(|state| state.is_pending());
            assert_eq!(open.map(|state| job.ended[state as usize]).sum::<u64>(), 0, "job {id}");
        }
        let mut runs = vec![0; self.interned.classes.len()];
        for (_, run) in self.runs.iter() {
            runs[run.class as usize] += 1;
        }
        for (id, class) in self.interned.classes.iter().enumerate() {
            assert_eq!(class.runs, runs[id], "runs of class {id}");
            let id = id as u32;
            assert_eq!(self.interned.ready.has(id), class.ready > 0, "class {id} is ready");
            assert!(class.surplus.is_empty() || self.interned.surplus.has(id), "class {id}");
            let workers = self.workers.iter().map(|(_, worker)| worker);
            let capable = workers.filter(|worker| worker.capable.has(id)).count();
            assert_eq!(class.capable as usize, capable, "workers that can run class {id}");
            assert!(!class.is_vacant() || capable == 0, "class {id} stands for nothing");
        }
    }

    fn check_description(&self, id: SpecId, spec: &Spec) {
        let cells = || (0..spec.len()).map(|index| spec.cell(index));
        let pending = cells().filter(|cell| cell.state.is_pending()).count();
        let wanted = cells().filter(|cell| cell.has(WANTED)).count();
        assert_eq!(spec.pending as usize, pending, "pending members of {id}");
        assert_eq!(spec.wanted as usize, wanted, "wanted members of {id}");
        assert!(!spec.dirty, "{id} is listed as dirty between events");
        let useful = pending > 0 || wanted > 0 || spec.retained > 0 || spec.expecting;
        assert!(useful, "{id} could be forgotten");
        let (mut missing, mut retained, mut active) = (0, 0, 0);
        for edge in &spec.inputs {
            assert!(self.specs.get(edge.source).is_some(), "{id} reads a forgotten description");
            let there = |index: u32| {
                let cell = self.specs.cell(TaskId::new(edge.source, index));
                cell.is_some_and(|cell| cell.state == TaskState::Done)
            };
            let complete = match edge.members {
                EdgeMembers::Whole => there(0),
                EdgeMembers::One(member) => there(member),
                EdgeMembers::All => {
                    let len = self.specs.get(edge.source).map_or(0, |spec| spec.len());
                    (0..len).all(there)
                }
                EdgeMembers::SameIndex => true,
            };
            missing += u32::from(!complete);
        }
        if pending > 0 {
            assert_eq!(spec.missing, missing, "missing inputs of {id}");
        }
        for consumer in self.edges_to(id) {
            retained += 1;
            let (edge, open) = consumer;
            let whole = matches!(edge, EdgeMembers::Whole | EdgeMembers::All);
            active += u32::from(open && whole);
        }
        assert_eq!(spec.retained, retained, "consumers of {id}");
        assert_eq!(spec.active, active, "active consumers of {id}");
        if let Some(array) = spec.array() {
            for (member, consumers) in &array.by_member {
                let edges = self.edges_to(id).into_iter();
                let edges = edges.filter(|(edge, _)| *edge == EdgeMembers::One(*member));
                assert_eq!(consumers.retained as usize, edges.count(), "readers of {id}[{member}]");
            }
            let available = cells().filter(|cell| cell.state == TaskState::Done).count();
            assert_eq!(array.available as usize, available, "available members of {id}");
        }
    }

    /// Edges to a description, and whether the consumer has unfinished members.
    fn edges_to(&self, id: SpecId) -> Vec<(EdgeMembers, bool)> {
        let Some(spec) = self.specs.get(id) else { return Vec::new() };
        let mut consumers: HashSet<SpecId> = spec.consumers.iter().copied().collect();
        if let Some(array) = spec.array() {
            consumers.extend(array.same_index.iter());
            consumers.extend(array.by_member.values().flat_map(|c| c.specs.iter()));
        }
        let mut edges = Vec::new();
        for consumer in consumers {
            let Some(found) = self.specs.get(consumer) else { continue };
            let own = found.inputs.iter().filter(|edge| edge.source == id);
            edges.extend(own.map(|edge| (edge.members, found.pending > 0)));
        }
        edges
    }

    fn check_cell(
        &self,
        task: TaskId,
        spec: &Spec,
        queued: &HashSet<(u32, SpecId, u32)>,
        held: &mut HashMap<WorkerId, u64>,
    ) -> u64 {
        let cell = spec.cell(task.index);
        let inputs_there = spec.missing == 0 && self.own_inputs_there(task);
        match cell.state {
            TaskState::Waiting => assert!(!inputs_there, "{task} waits for nothing"),
            TaskState::Ready => {
                assert!(inputs_there, "{task} is ready without its inputs");
                assert!(is_queued(task, spec, queued), "{task} is ready and in no queue");
            }
            TaskState::Assigned => {
                let run = self.runs.at(cell.at);
                let own = run.is_some_and(|(_, run)| run.task == task && !run.abandoned);
                assert!(own, "{task} is assigned without a run");
            }
            TaskState::Delayed => {
                let timed = spec.is_put || self.due.contains_key(&task);
                assert!(timed, "{task} is delayed without a timer");
            }
            TaskState::Done => {
                let kept = cell.has(WANTED)
                    || spec.expecting
                    || self.needed(task)
                    || spec.retained > 0 && self.irreplaceable(spec);
                assert!(kept, "{task} is kept though nobody needs it");
                for holder in self.holders(task) {
                    assert!(self.workers.get(holder).is_some(), "{task} is held by a gone worker");
                    *held.entry(holder).or_default() += 1;
                }
            }
            TaskState::Released => {
                assert!(!cell.has(WANTED), "{task} is wanted and released");
                assert!(!self.needed(task), "{task} is needed and released");
            }
            TaskState::Failed | TaskState::Cancelled => {}
        }
        let done = cell.state == TaskState::Done;
        assert_eq!(cell.has(CACHED), self.caches.contains_key(&task), "caches of {task}");
        for worker in self.caches_of(task) {
            assert!(done, "{task} is cached and not done");
            assert!(!self.holds(*worker, task), "{task} is held and cached by {worker}");
            let known =
                self.workers.get(*worker).is_some_and(|w| w.cached.entries().contains(&task));
            assert!(known, "{task} is cached by {worker}, which does not list it");
        }
        assert_eq!(cell.has(COPIES), self.copies.contains_key(&task), "copies of {task}");
        assert_eq!(cell.has(INLINE), self.inline.contains_key(&task), "value of {task}");
        assert_eq!(cell.has(HISTORY), self.history.contains_key(&task), "history of {task}");
        assert!(done || !cell.has(COPIES | INLINE), "{task} keeps a value and is not done");
        if done { cell.nbytes } else { 0 }
    }

    fn check_runs(&self) {
        for (id, run) in self.runs.iter() {
            let Some(worker) = self.workers.get(run.worker) else {
                panic!("run {id:?} is on a worker that is gone");
            };
            assert_eq!(
                worker.runs.get(run.position as usize),
                Some(&id.slot),
                "place of run {id:?} in its worker's list"
            );
            if !run.abandoned {
                let cell = self.specs.cell(run.task);
                let own = cell
                    .is_some_and(|cell| cell.state == TaskState::Assigned && cell.at == id.slot);
                assert!(own, "run {id:?} of {} is not its task's run", run.task);
            }
        }
    }

    fn check_workers(&self, held: &HashMap<WorkerId, u64>) {
        let mut returning = vec![0u32; self.interned.classes.len()];
        for (_, run) in self.runs.iter() {
            returning[run.class as usize] += u32::from(run.returning);
        }
        for (class, returning) in self.interned.classes.iter().zip(returning) {
            assert_eq!(class.returning, returning, "runs asked back");
        }
        for (id, worker) in self.workers.iter() {
            let mut free = worker.capacity.clone();
            let mut prefilled = 0;
            for load in &worker.loads {
                let of_class = |slot: &&u32| {
                    self.runs.at(**slot).is_some_and(|(_, run)| run.class == load.class)
                };
                let assigned = worker.runs.iter().filter(of_class).count() as u32;
                assert_eq!(load.assigned, assigned, "runs of a class on worker {id}");
                assert!(load.reserved <= load.assigned, "more reserved than assigned on {id}");
                prefilled += load.assigned - load.reserved;
                for (resource, amount) in &self.interned.classes[load.class as usize].needs {
                    free[*resource as usize] -= amount * u64::from(load.reserved);
                }
            }
            assert_eq!(worker.free, free, "free resources of worker {id}");
            assert_eq!(worker.prefilled, prefilled, "prefilled runs of worker {id}");
            let incoming = worker.incoming.values().map(|copy| copy.nbytes).sum::<u64>();
            assert_eq!(worker.incoming_bytes, incoming, "bytes on their way to worker {id}");
            let counted = held.get(&id).copied().unwrap_or(0);
            assert_eq!(u64::from(worker.held.live()), counted, "outputs held by worker {id}");
            let cached: HashSet<TaskId> = worker
                .cached
                .entries()
                .iter()
                .copied()
                .filter(|task| self.caches(id, *task))
                .collect();
            assert_eq!(cached.len(), worker.cached.live() as usize, "caches of worker {id}");
            let listed: HashSet<TaskId> = worker
                .held
                .entries()
                .iter()
                .copied()
                .filter(|task| self.holds(id, *task))
                .collect();
            assert_eq!(listed.len() as u64, counted, "list of outputs held by worker {id}");
        }
    }

    fn check_queues(&self) {
        for (id, queue) in self.queues.iter() {
            let class = &self.interned.classes[queue.class as usize];
            assert_eq!(queue.listed, class.queues.contains(&id), "listing of queue {id}");
            assert!(queue.ready() == 0 || queue.listed, "queue {id} has ready tasks, not listed");
            let cursors: Vec<SpecId> = queue
                .iter()
                .filter(|entry| entry.index == CURSOR)
                .map(|entry| entry.spec)
                .collect();
            let distinct: HashSet<SpecId> = cursors.iter().copied().collect();
            assert_eq!(cursors.len(), distinct.len(), "two entries for one task array");
        }
        for (class_id, class) in self.interned.classes.iter().enumerate() {
            let live = |list: &VecDeque<WorkerId>| {
                list.iter().filter(|id| self.workers.get(**id).is_some()).count()
            };
            let lists = [&class.slots, &class.prefill, &class.surplus];
            assert!(lists.iter().all(|list| live(list) <= self.workers.connected().len()));
            for (id, worker) in self.workers.iter() {
                let class_id = class_id as u32;
                assert_eq!(
                    worker.listed_slots.has(class_id),
                    class.slots.contains(&id),
                    "listing of worker {id} with free slots"
                );
                let serves = worker.serves() && worker.capable.has(class_id);
                let fits = serves && class.fits(&worker.free);
                assert!(
                    !fits || worker.listed_slots.has(class_id),
                    "worker {id} has free slots and is not listed"
                );
            }
        }
    }
}

fn is_queued(task: TaskId, spec: &Spec, queued: &HashSet<(u32, SpecId, u32)>) -> bool {
    let covered =
        spec.array().is_some_and(|array| array.cursor_queued && array.members.next <= task.index);
    covered || queued.contains(&(spec.queue, task.spec, task.index))
}
