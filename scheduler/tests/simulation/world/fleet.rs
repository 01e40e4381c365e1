//! What workers do, and what happens to them.

use std::collections::HashMap;

use dasklet_core::{DeathCause, ErrorClass, Resources, RunId, WorkerId, demand::MemberRef};
use dasklet_scheduler::state::{Held, Time, ToWorker, WorkerDescription};
use rand::Rng;

use super::{
    Mode, World,
    network::{Event, Order},
};
use crate::worker::{Assigned, Provenance, Read, Report, SimWorker, Stored};

impl World {
    pub(super) fn obey(&mut self, index: usize, id: WorkerId, order: Order) {
        match order {
            Order::Assign(assigned) => {
                self.workers[index].queue.push_back(assigned);
                self.start_runs(index);
            }
            Order::Other(order) => self.obey_other(index, id, order),
        }
    }

    pub(super) fn obey_other(&mut self, index: usize, id: WorkerId, order: ToWorker) {
        let worker = &mut self.workers[index];
        match order {
            ToWorker::Cancel(run) => {
                let queued = worker.queue.iter().position(|a| a.run == run);
                if let Some(position) = queued {
                    worker.queue.remove(position);
                } else if worker.running.remove(&run).is_none() {
                    return;
                }
                self.send_up(id, Report::Failed(run, ErrorClass::Cancelled, Vec::new()));
                self.start_runs(index);
            }
            ToWorker::GiveBack(run) => {
                if let Some(position) = worker.queue.iter().position(|a| a.run == run) {
                    worker.queue.remove(position);
                    self.send_up(id, Report::Returned(run));
                }
            }
            ToWorker::Release(task) => {
                worker.store.remove(&task);
            }
            ToWorker::ReleaseRange(spec, start, end) => {
                worker
                    .store
                    .retain(|task, _| task.spec != spec || task.index < start || task.index >= end);
            }
            ToWorker::Forget(spec) => worker.store.retain(|task, _| task.spec != spec),
            ToWorker::Replicate(task, from) => {
                let stored = self
                    .index_of(from)
                    .and_then(|index| self.workers[index].store.get(&task).cloned());
                let store = &mut self.workers[index].store;
                if !store.contains_key(&task)
                    && let Some(stored) = stored
                {
                    store.insert(task, stored);
                }
                if let Some(stored) = store.get_mut(&task) {
                    stored.cache = false;
                    let nbytes = stored.nbytes;
                    self.send_up(id, Report::Copy(task, nbytes));
                }
            }
            ToWorker::Confirm(task) if !worker.store.contains_key(&task) => {
                self.send_up(id, Report::Dropped(task));
            }
            ToWorker::Shutdown => {
                self.disconnect(index, DeathCause::Drained);
                self.workers[index].store.clear();
                self.workers[index].leaving = false;
                let time = self.now + 50_000;
                self.at(time, Event::Rejoin(index));
            }
            _ => {}
        }
    }

    pub(super) fn start_runs(&mut self, index: usize) {
        while self.workers[index].free_slots() > 0 {
            let Some(assigned) = self.workers[index].queue.pop_front() else { return };
            let Some(id) = self.workers[index].id else { return };
            if assigned.announce || self.rng.random_bool(0.5) {
                self.send_up(id, Report::Started(assigned.run));
            }
            let length = if self.rng.random_bool(0.1) { 60_000 } else { 3000 };
            let length = self.rng.random_range(0..length);
            let time = self.now + length;
            self.at(time, Event::RunEnds(index, assigned.run));
            self.workers[index].running.insert(assigned.run, assigned);
        }
    }

    pub(super) fn run_ends(&mut self, index: usize, run: RunId) {
        let Some(assigned) = self.workers[index].running.remove(&run) else { return };
        let Some(id) = self.workers[index].id else { return };
        let report = self.outcome(index, &assigned);
        self.send_up(id, report);
        self.start_runs(index);
    }

    pub(super) fn outcome(&mut self, index: usize, assigned: &Assigned) -> Report {
        let run = assigned.run;
        let mut made_of = Provenance::new();
        let mut lost = Vec::new();
        let mut cached = Vec::new();
        for Read { task, holders, varying } in &assigned.inputs {
            let named =
                |found: usize| self.workers[found].id.is_some_and(|id| holders.contains(&id));
            let own = self.workers[index].store.contains_key(task) && (!varying || named(index));
            let found = own.then_some(index).or_else(|| {
                holders
                    .iter()
                    .filter_map(|holder| self.index_of(*holder))
                    .find(|index| self.workers[*index].store.contains_key(task))
            });
            match found {
                Some(found) => {
                    let stored = self.workers[found].store[task].clone();
                    made_of.extend(stored.made_of.iter().map(|(task, v)| (*task, *v)));
                    if found != index && !varying && self.rng.random_bool(0.5) {
                        let stored = Stored { cache: true, ..stored };
                        self.workers[index].store.insert(*task, stored);
                        cached.push(*task);
                    }
                }
                None => lost.extend(
                    holders.iter().map(|holder| (*task, *holder, self.index_of(*holder).is_some())),
                ),
            }
        }
        let id = self.workers[index].id;
        for (task, id) in cached.into_iter().zip(id.into_iter().cycle()) {
            self.send_up(id, Report::Cached(task));
        }
        if !lost.is_empty() || assigned.inputs.iter().any(|read| read.holders.is_empty()) {
            return Report::Failed(run, ErrorClass::InputLost, lost);
        }
        if self.mode != Mode::Drains && self.rng.random_bool(0.03) {
            let class = match self.rng.random_range(0..4) {
                0 => ErrorClass::Fatal,
                1 => ErrorClass::Retryable,
                2 => ErrorClass::WorkerFault,
                _ => ErrorClass::Crashed,
            };
            return Report::Failed(run, class, Vec::new());
        }
        let value = if assigned.varying { self.rng.random() } else { 0 };
        made_of.insert(assigned.task, value);
        let nbytes: Vec<u64> =
            (0..assigned.outputs).map(|_| self.rng.random_range(0..200_000)).collect();
        let total = nbytes.iter().sum();
        self.workers[index]
            .store
            .insert(assigned.task, Stored { nbytes: total, made_of, cache: false });
        let inline = (nbytes.len() == 1 && self.rng.random_bool(0.3)).then(|| vec![1, 2].into());
        Report::Finished(run, nbytes, inline)
    }

    pub(super) fn join(&mut self) {
        let number = self.workers.len();
        let slots = self.rng.random_range(1..4);
        self.workers.push(SimWorker {
            name: format!("w{number}"),
            instance: 0,
            id: None,
            slots,
            gpu: number % 2 == 1,
            queue: Default::default(),
            running: HashMap::new(),
            store: HashMap::new(),
            leaving: false,
        });
        self.connect(number);
    }

    pub(super) fn connect(&mut self, index: usize) {
        self.instances += 1;
        let worker = &mut self.workers[index];
        if let Some(old) = worker.id {
            // The old connection is half open: its late messages are still on their way.
            self.fenced.push(old);
            worker.stop_all();
        }
        if worker.store.is_empty() {
            worker.instance = self.instances;
        }
        let mut resources = Resources::default().with("cpu", worker.slots as u64 * 1000);
        if worker.gpu {
            resources = resources.with("GPU", 1000);
        }
        let description = WorkerDescription {
            name: worker.name.clone(),
            instance: worker.instance.to_string(),
            boot_nonce: worker.instance.to_string(),
            group: if index.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
            data_address: String::new(),
            resources,
            leaving: worker.leaving,
        };
        let held = worker
            .store
            .iter()
            .filter(|(_, stored)| !stored.cache)
            .map(|(task, stored)| Held { task: *task, nbytes: stored.nbytes })
            .collect();
        let (id, keep) = self.state.add_worker(Time(self.now), description, held);
        let worker = &mut self.workers[index];
        worker.store.retain(|task, _| keep.contains(task));
        worker.id = Some(id);
    }

    pub(super) fn disconnect(&mut self, index: usize, cause: DeathCause) {
        let worker = &mut self.workers[index];
        worker.stop_all();
        let Some(id) = worker.id.take() else { return };
        // What was on the way is lost; the scheduler notices at once or later.
        self.drop_messages(id);
        let late = if self.rng.random_bool(0.5) { 0 } else { self.rng.random_range(0..20_000) };
        let time = self.now + late;
        self.at(time, Event::Lost(id, cause));
    }

    pub(super) fn restore_workers(&mut self) {
        while self.workers.len() < 4 {
            self.join();
        }
        for index in 0..self.workers.len() {
            if self.workers[index].id.is_none() {
                self.workers[index].leaving = false;
                self.workers[index].store.clear();
                self.connect(index);
            }
            let name = self.workers[index].name.clone();
            self.state.undrain(Time(self.now), &MemberRef { name, instance: None });
        }
        // Those that leave of their own account go when they are drained: others take their work.
        for index in 0..self.workers.len() {
            if self.workers[index].leaving && self.mode != Mode::Drains {
                self.kill(index);
                self.workers[index].leaving = false;
                let id = self.workers[index].id;
                assert_eq!(id, None);
                self.connect(index);
            }
        }
    }

    pub(super) fn kill(&mut self, index: usize) {
        let causes = [
            DeathCause::ConnectionLost,
            DeathCause::OomKilled,
            DeathCause::Preempted,
            DeathCause::HeartbeatLost,
        ];
        let cause = causes[self.rng.random_range(0..causes.len())].clone();
        self.disconnect(index, cause);
        self.workers[index].store.clear();
    }
}
