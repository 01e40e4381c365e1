//! Workers that come, and what they tell of themselves.

use dasklet_core::{DeathCause, TaskId, WorkerId};

use super::{
    Action, Held, State, TaskState, Time, ToWorker, WorkerDescription, WorkerMetrics,
    bits::Bits,
    workers::{Standing, Worker},
};

impl State {
    /// Registers a worker. An older incarnation of the same name is removed. Answers its id and
    /// which of the tasks that it holds are still of use.
    pub fn add_worker(
        &mut self,
        now: Time,
        d: WorkerDescription,
        held: Vec<Held>,
    ) -> (WorkerId, Vec<TaskId>) {
        self.now = now;
        if let Some(old) = self.workers.named(&d.name) {
            self.remove_worker(now, old, DeathCause::Replaced);
        }
        let capacity = self.interned.offer(&d.resources);
        let leaving = d.leaving;
        let id = self.workers.insert(Worker {
            description: d,
            metrics: WorkerMetrics::default(),
            standing: Standing::Serving,
            leaving: false,
            dismissed: false,
            heard: now,
            idle_since: now,
            free: capacity.clone(),
            capacity,
            loads: Default::default(),
            prefilled: 0,
            runs: Vec::new(),
            held: Default::default(),
            held_bytes: 0,
            cached: Default::default(),
            capable: Bits::default(),
            listed_slots: Bits::default(),
            listed_prefill: Bits::default(),
            listed_surplus: Bits::default(),
            to_move: Vec::new(),
            moving: Vec::new(),
            retry_at: Time(0),
            retries: 0,
            drain_until: None,
            incoming: Default::default(),
            incoming_bytes: 0,
        });
        for class in 0..self.interned.classes.len() as u32 {
            if self.interned.classes[class as usize].in_use() {
                self.note_capable(class, id);
            }
        }
        self.counters.workers += 1;
        self.counters.workers_added += 1;
        let mut keep = Vec::new();
        for held in held {
            if self.adopt(id, held.task, held.nbytes) {
                keep.push(held.task);
            }
        }
        self.settle();
        keep.retain(|task| self.holds(id, *task));
        self.offer_room(id);
        self.drains_moved = true;
        self.place_waiting_puts();
        if leaving {
            self.worker_leaving(now, id);
        }
        self.demand_moved();
        (id, keep)
    }

    /// A worker that came back holds outputs: are they of use?
    fn adopt(&mut self, id: WorkerId, task: TaskId, nbytes: u64) -> bool {
        let Some(spec) = self.specs.get(task.spec) else { return false };
        if task.index >= spec.len() {
            return false;
        }
        let cell = spec.cell(task.index);
        // What comes out differently each time may be older than what others have read.
        if spec.varying {
            return false;
        }
        match cell.state {
            TaskState::Done => {
                self.add_holder(task, id);
                true
            }
            TaskState::Waiting | TaskState::Ready | TaskState::Assigned | TaskState::Delayed => {
                self.abandon_run(task);
                self.store_done(task, id, nbytes);
                true
            }
            _ => false,
        }
    }

    /// Notes whether a worker can run a class, were it empty.
    pub(super) fn note_capable(&mut self, class: u32, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let found = &mut self.interned.classes[class as usize];
        let description = &worker.description;
        if found.allows(&description.name, &description.group) && found.fits(&worker.capacity) {
            worker.capable.insert(class);
            found.capable += 1;
        }
    }

    /// What a worker tells of itself.
    pub fn heartbeat(&mut self, now: Time, w: WorkerId, m: WorkerMetrics) {
        self.now = now;
        let Some(worker) = self.workers.get_mut(w) else { return };
        worker.heard = now;
        let resumed = worker.metrics.paused && !m.paused;
        worker.metrics = m;
        if resumed {
            self.offer_room(w);
            self.drains_moved = true;
            self.place_waiting_puts();
        }
    }

    /// The worker's name.
    #[must_use]
    pub fn worker_name(&self, w: WorkerId) -> Option<&str> {
        self.workers.get(w).map(|worker| worker.description.name.as_str())
    }

    /// What the worker said of itself when it came.
    #[must_use]
    pub fn worker_description(&self, w: WorkerId) -> Option<&WorkerDescription> {
        self.workers.get(w).map(|worker| &worker.description)
    }

    pub(super) fn tell(&mut self, w: WorkerId, message: ToWorker) {
        self.actions.push(Action::Worker(w, message));
    }
}
