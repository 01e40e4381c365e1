//! The world around the state machine: a clock, links with delays, and chance.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use dasklet_core::{
    DeathCause, ErrorClass, Resources, RunId, SessionId, TaskId, WorkerId, demand::MemberRef,
};
use dasklet_scheduler::state::{
    Action, Config, FailedRun, FinishedRun, Held, InputView, LocalRange, LostInput, State,
    TaskState, Time, ToSession, ToWorker, WorkerDescription,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    client::{Description, End, SimClient},
    graph::{self, Known},
    worker::{Assigned, Provenance, Read, Report, SimWorker, Stored},
};

/// What happens to workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Chaos,
    /// They come, are drained and go; nothing may be lost or run again for it.
    Drains,
    /// Everything, with tasks that give something else each time.
    Varying,
}

#[derive(Debug)]
enum Event {
    ToWorker(WorkerId, Order),
    FromWorker(WorkerId, Report),
    RunEnds(usize, RunId),
    Chance,
    Rejoin(usize),
    Lost(WorkerId, DeathCause),
}

#[derive(Debug, Clone)]
enum Order {
    Assign(Assigned),
    Other(ToWorker),
}

pub struct World {
    mode: Mode,
    rng: SmallRng,
    now: u64,
    sequence: u64,
    state: State,
    session: SessionId,
    client: SimClient,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: HashMap<u64, Event>,
    /// When the latest message of a link arrives: they do not overtake each other.
    down: BTreeMap<WorkerId, u64>,
    up: BTreeMap<WorkerId, u64>,
    workers: Vec<SimWorker>,
    fenced: Vec<WorkerId>,
    instances: u64,
    chances: u32,
    steps: u64,
    check_every: u64,
    actions: Vec<Action>,
    trace: bool,
}

impl World {
    pub fn new(seed: u64, mode: Mode) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut state = State::new(Config::default());
        let session = state.open_session(Time(0), "simulation").unwrap();
        state.open_job(Time(0), session, 0, "one", 1.0).unwrap();
        state.open_job(Time(0), session, 1, "two", 2.0).unwrap();
        let chances = rng.random_range(10..80);
        let check_every = rng.random_range(1..6);
        let client = SimClient { connected: true, ..SimClient::default() };
        Self {
            mode,
            rng,
            now: 0,
            sequence: 0,
            state,
            session,
            client,
            events: BinaryHeap::new(),
            bodies: HashMap::new(),
            down: BTreeMap::new(),
            up: BTreeMap::new(),
            workers: Vec::new(),
            fenced: Vec::new(),
            instances: 0,
            chances,
            steps: 0,
            check_every,
            actions: Vec::new(),
            trace: std::env::var_os("DASKLET_SIM_TRACE").is_some(),
        }
    }

    fn time(&self) -> Time {
        Time(self.now)
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence)));
        self.bodies.insert(self.sequence, event);
    }

    fn send_up(&mut self, from: WorkerId, report: Report) {
        let delay = self.rng.random_range(1..3000);
        let last = self.up.entry(from).or_default();
        *last = (*last).max(self.now + delay);
        let time = *last;
        if self.rng.random_bool(0.03) {
            self.at(time, Event::FromWorker(from, report.clone()));
        }
        self.at(time, Event::FromWorker(from, report));
    }

    // ---- the history

    pub fn run(mut self) {
        self.join();
        self.join();
        for _ in 0..self.chances {
            let time = self.rng.random_range(0..400_000);
            self.at(time, Event::Chance);
        }
        self.run_until(u64::MAX, false);
        // Calm: the client and enough workers are there.
        if !self.client.connected {
            self.resume();
        }
        self.restore_workers();
        let end = self.now + 600_000_000;
        self.run_until(end, true);
        let pending = self.client.pending();
        assert!(
            pending.is_empty(),
            "{} tasks never ended, among them {:?}: {:?}",
            pending.len(),
            pending[0],
            self.why(pending[0])
        );
        self.check_results();
        self.release_all();
    }

    fn why(&self, (local, index): (u64, u32)) -> Option<String> {
        let spec = self.client.descriptions.iter().find(|d| d.known.local == local)?.spec;
        Some(format!("{:#?}", self.state.explain(&format!("{spec}.{index}"))?))
    }

    fn run_until(&mut self, end: u64, timers: bool) {
        loop {
            self.after_events();
            let event = self.events.peek().map(|Reverse((time, _))| *time);
            let timer = self.state.next_timer().map(|time| time.0);
            let settled = timers && self.is_settled();
            let next = match (event, timer) {
                (None, _) if !timers || settled => return,
                (Some(event), Some(timer)) => event.min(timer.max(self.now)),
                (Some(event), None) => event,
                (None, Some(timer)) => timer.max(self.now),
                (None, None) => return,
            };
            if next > end {
                return;
            }
            self.now = self.now.max(next);
            self.state.fire_timers(self.time());
            while let Some(Reverse((time, id))) = self.events.peek().copied()
                && time <= self.now
            {
                self.events.pop();
                if let Some(event) = self.bodies.remove(&id) {
                    self.handle(event);
                }
                if self.rng.random_bool(0.7) {
                    break;
                }
            }
        }
    }

    /// Everything ended, and nothing is being made again.
    fn is_settled(&self) -> bool {
        let tasks = &self.state.counters().tasks;
        let pending = TaskState::ALL.into_iter().filter(|state| state.is_pending());
        self.client.pending().is_empty()
            && pending.map(|state| tasks[state as usize]).sum::<u64>() == 0
    }

    fn after_events(&mut self) {
        self.state.schedule(self.time());
        self.steps += 1;
        // The walk costs as much as there are tasks: the larger, the rarer.
        let tasks: u64 = self.state.counters().tasks.iter().sum();
        if self.steps.is_multiple_of(self.check_every * (1 + tasks / 32)) {
            self.state.check_invariants();
        }
        let mut actions = std::mem::take(&mut self.actions);
        self.state.take_actions(&mut actions);
        for action in actions.drain(..) {
            self.carry_out(action);
        }
        self.actions = actions;
    }

    fn carry_out(&mut self, action: Action) {
        if self.trace && action != Action::DemandChanged {
            eprintln!("{} -> {action:?}", self.now);
        }
        match action {
            Action::Worker(id, ToWorker::Assign(run)) => {
                if let Some(assigned) = self.read_assignment(run) {
                    self.send_down(id, Order::Assign(assigned));
                }
            }
            Action::Worker(id, order) => self.send_down(id, Order::Other(order)),
            Action::Session(_, news) if self.client.connected => self.hear(news),
            Action::Session(..) | Action::DemandChanged => {}
        }
    }

    fn read_assignment(&self, run: RunId) -> Option<Assigned> {
        let view = self.state.assignment(run)?;
        let definition = self.state.definition(view.spec)?;
        let mut inputs = Vec::new();
        for input in view.inputs() {
            match input {
                InputView::One { task, holders, caches, varying, .. } => {
                    let holders = holders.iter().chain(caches).copied().collect();
                    inputs.push(Read { task, holders, varying });
                }
                InputView::Many(many) => {
                    for (index, member) in many.iter().enumerate() {
                        let task = TaskId::new(many.spec, index as u32);
                        let (holders, varying) = (vec![member.holder], many.varying);
                        inputs.push(Read { task, holders, varying });
                    }
                }
            }
        }
        Some(Assigned {
            run,
            task: view.task,
            outputs: definition.outputs(),
            announce: view.announce_start,
            inputs,
            varying: !definition.options().deterministic,
        })
    }

    fn send_down(&mut self, to: WorkerId, order: Order) {
        let delay = self.rng.random_range(1..3000);
        let last = self.down.entry(to).or_default();
        *last = (*last).max(self.now + delay);
        let time = *last;
        self.at(time, Event::ToWorker(to, order));
    }

    fn handle(&mut self, event: Event) {
        if self.trace {
            eprintln!("{} {event:?}", self.now);
        }
        match event {
            Event::ToWorker(id, order) => {
                if let Some(index) = self.index_of(id) {
                    self.obey(index, id, order);
                }
            }
            Event::FromWorker(id, report) => self.report(id, report),
            Event::RunEnds(index, run) => self.run_ends(index, run),
            Event::Chance => self.chance(),
            Event::Rejoin(index) => {
                if self.workers[index].id.is_none() {
                    self.connect(index);
                }
            }
            Event::Lost(id, cause) => self.state.remove_worker(self.time(), id, cause),
        }
    }

    fn index_of(&self, id: WorkerId) -> Option<usize> {
        self.workers.iter().position(|worker| worker.id == Some(id))
    }

    fn report(&mut self, id: WorkerId, report: Report) {
        let now = self.time();
        match report {
            Report::Started(run) => self.state.run_started(now, id, run),
            Report::Finished(run, nbytes, inline) => {
                let f = FinishedRun {
                    nbytes: &nbytes,
                    inline: inline.as_deref(),
                    run_micros: nbytes[0] % 5000,
                };
                self.state.run_finished(now, id, run, f);
            }
            Report::Failed(run, class, lost_inputs) => {
                let lost_inputs = lost_inputs
                    .into_iter()
                    .map(|(task, holder, missing)| LostInput { task, holder, missing })
                    .collect();
                let message = "simulated".to_owned();
                let cause =
                    (class == ErrorClass::Crashed).then_some(DeathCause::Signal { signal: 9 });
                let f = FailedRun { class, message, lost_inputs, cause, run_micros: 5 };
                self.state.run_failed(now, id, run, f);
            }
            Report::Returned(run) => self.state.run_returned(now, id, run),
            Report::Copy(task, nbytes) => self.state.copy_held(now, id, task, nbytes),
            Report::Cached(task) => self.state.copy_cached(now, id, task),
            Report::Dropped(task) => self.state.copy_dropped(now, id, task),
            Report::Leaving => self.state.worker_leaving(now, id),
        }
    }

    // ---- workers

    fn obey(&mut self, index: usize, id: WorkerId, order: Order) {
        match order {
            Order::Assign(assigned) => {
                self.workers[index].queue.push_back(assigned);
                self.start_runs(index);
            }
            Order::Other(order) => self.obey_other(index, id, order),
        }
    }

    fn obey_other(&mut self, index: usize, id: WorkerId, order: ToWorker) {
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

    fn start_runs(&mut self, index: usize) {
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

    fn run_ends(&mut self, index: usize, run: RunId) {
        let Some(assigned) = self.workers[index].running.remove(&run) else { return };
        let Some(id) = self.workers[index].id else { return };
        let report = self.outcome(index, &assigned);
        self.send_up(id, report);
        self.start_runs(index);
    }

    fn outcome(&mut self, index: usize, assigned: &Assigned) -> Report {
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

    fn join(&mut self) {
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

    fn connect(&mut self, index: usize) {
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

    fn disconnect(&mut self, index: usize, cause: DeathCause) {
        let worker = &mut self.workers[index];
        worker.stop_all();
        let Some(id) = worker.id.take() else { return };
        // What was on the way is lost; the scheduler notices at once or later.
        self.drop_messages(id);
        let late = if self.rng.random_bool(0.5) { 0 } else { self.rng.random_range(0..20_000) };
        let time = self.now + late;
        self.at(time, Event::Lost(id, cause));
    }

    fn drop_messages(&mut self, id: WorkerId) {
        let keep_some = self.rng.random_bool(0.5);
        self.bodies.retain(|sequence, event| match event {
            Event::ToWorker(to, _) => *to != id,
            Event::FromWorker(from, _) => *from != id || keep_some && sequence % 2 == 0,
            _ => true,
        });
    }

    fn restore_workers(&mut self) {
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

    fn kill(&mut self, index: usize) {
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

    // ---- chance

    fn chance(&mut self) {
        let kind = self.rng.random_range(0..26);
        let index = self.rng.random_range(0..self.workers.len());
        let risky = self.mode != Mode::Drains;
        match kind {
            0..=6 => self.submit(),
            7 => self.put(),
            8..=9 => self.release_one(),
            10 if risky => self.cancel_one(),
            11..=12 if risky => self.kill(index),
            13..=14 if risky => {
                self.disconnect(index, DeathCause::ConnectionLost);
            }
            15 if risky => self.connect(index),
            16 if self.workers.len() < 6 => self.join(),
            17 if self.workers[index].id.is_none() => self.connect(index),
            18..=19 => {
                let m = self.member(index);
                let deadline = self.rng.random_bool(0.5).then_some(10_000);
                self.state.drain(self.time(), &m, deadline);
            }
            20 => {
                let m = self.member(index);
                self.state.undrain(self.time(), &m);
            }
            21 if self.workers[index].id.is_some() && self.workers.len() > 2 => {
                self.workers[index].leaving = true;
                let id = self.workers[index].id.unwrap();
                self.send_up(id, Report::Leaving);
            }
            22 => {
                if self.client.connected {
                    self.client.connected = false;
                    self.state.session_disconnected(self.time(), self.session);
                } else {
                    self.resume();
                }
            }
            23 if risky => {
                // Someone outside knows better, perhaps of someone who is gone.
                let m = self.member(index);
                if self.workers[index].id.is_none() {
                    self.state.lost(self.time(), &m, DeathCause::Evicted);
                }
            }
            24 => self.drop_caches(index),
            25 if risky => self.lose_silently(index),
            _ => {}
        }
    }

    /// The worker's memory is short.
    fn drop_caches(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some(id) = worker.id else { return };
        let mut dropped: Vec<TaskId> =
            worker.store.iter().filter(|(_, s)| s.cache).map(|(task, _)| *task).collect();
        dropped.sort_unstable();
        worker.store.retain(|_, stored| !stored.cache);
        for task in dropped {
            self.send_up(id, Report::Dropped(task));
        }
    }

    /// An output is damaged, which is found out only when the client reads it.
    fn lose_silently(&mut self, index: usize) {
        let Some(id) = self.workers[index].id else { return };
        let ended = self.client.ends.iter().filter(|(_, end)| **end == End::Done(id));
        let Some((local, member)) = ended.map(|(member, _)| *member).min() else { return };
        let known = self.client.descriptions.iter().find(|d| d.known.local == local);
        let Some(description) = known.filter(|d| !d.released && self.client.connected) else {
            return;
        };
        let task = TaskId::new(description.spec, member);
        if self.workers[index].store.remove(&task).is_some() {
            self.client.ends.remove(&(local, member));
            self.state.refetch(self.time(), self.session, local, member, id, true);
        }
    }

    fn member(&self, index: usize) -> MemberRef {
        MemberRef { name: self.workers[index].name.clone(), instance: None }
    }

    // ---- the client

    fn submit(&mut self) {
        let known = self.client.known();
        let first = self.client.next;
        let (options, tasks, new) = graph::submission(&mut self.rng, self.mode, first, &known);
        let wanted: Vec<bool> = tasks.iter().map(|task| task.wanted).collect();
        let job = self.rng.random_range(0..2);
        let specs =
            self.state.submit(self.time(), self.session, job, first, options, tasks).unwrap();
        self.client.next += new.len() as u64;
        for ((known, spec), wanted) in new.into_iter().zip(specs).zip(wanted) {
            self.client.descriptions.push(Description {
                known,
                spec,
                wanted,
                is_put: false,
                released: false,
            });
        }
    }

    fn put(&mut self) {
        let local = self.client.next;
        let copies = self.rng.random_range(1..3);
        let spec =
            self.state.put(self.time(), self.session, local, "".into(), 100, copies).unwrap();
        self.client.next += 1;
        self.client.descriptions.push(Description {
            known: Known { local, array: None, outputs: 1 },
            spec,
            wanted: true,
            is_put: true,
            released: false,
        });
    }

    fn hear(&mut self, news: ToSession) {
        match news {
            ToSession::Done { local, index, holder, .. } => {
                self.client.ends.insert((local, index), End::Done(holder));
            }
            ToSession::Failed { local, index } => {
                self.client.ends.insert((local, index), End::Failed);
                let failure = self.state.failure(self.session, local, index);
                let failure = failure.expect("a failed task says why");
                assert!(!failure.message.is_empty());
                if self.mode == Mode::Drains {
                    panic!("a planned removal failed {local}[{index}]: {failure:?}");
                }
            }
            ToSession::PutTarget { task, workers, .. } => {
                for id in workers {
                    if let Some(index) = self.index_of(id) {
                        let made_of = Provenance::from([(task, 0)]);
                        self.workers[index]
                            .store
                            .insert(task, Stored { nbytes: 100, made_of, cache: false });
                        self.send_up(id, Report::Copy(task, 100));
                    }
                }
            }
        }
    }

    fn resume(&mut self) {
        self.client.connected = true;
        let pending: Vec<LocalRange> = self
            .client
            .pending()
            .into_iter()
            .map(|(local, index)| LocalRange { local, start: index, end: index + 1, count: 1 })
            .collect();
        self.state.session_resumed(self.time(), self.session, &pending);
        // Where values were to be put it was told while it was away: it asks again.
        let lost_puts: Vec<u64> = self
            .client
            .descriptions
            .iter()
            .filter(|d| d.is_put)
            .filter(|d| !self.client.ends.contains_key(&(d.known.local, 0)))
            .map(|d| d.known.local)
            .collect();
        for local in lost_puts {
            let nobody = WorkerId(u32::MAX);
            self.state.refetch(self.time(), self.session, local, 0, nobody, false);
        }
    }

    fn release_one(&mut self) {
        if self.client.descriptions.is_empty() {
            return;
        }
        let position = self.rng.random_range(0..self.client.descriptions.len());
        let local = self.client.descriptions[position].known.local;
        self.client.descriptions[position].released = true;
        let members = self.client.descriptions[position].members();
        if self.rng.random_bool(0.5) {
            for start in 0..members {
                let range = LocalRange { local, start, end: start + 1, count: 1 };
                self.state.release(self.time(), self.session, range);
            }
        } else {
            let range = LocalRange { local, start: 0, end: 0, count: 1 };
            self.state.release(self.time(), self.session, range);
        }
    }

    fn cancel_one(&mut self) {
        if let Some((local, index)) = self.client.pending().first().copied() {
            let whole = self.rng.random_bool(0.5);
            let (start, end) = if whole { (0, 0) } else { (index, index + 1) };
            let range = LocalRange { local, start, end, count: 1 };
            self.state.cancel(self.time(), self.session, range);
        }
    }

    // ---- what must be true in the end

    fn check_results(&self) {
        if self.mode == Mode::Drains {
            assert_eq!(self.state.counters().recomputed, 0, "planned removals repeat nothing");
        }
        let mut versions = Provenance::new();
        for description in self.client.descriptions.iter().filter(|d| d.wanted && !d.released) {
            for index in 0..description.members() {
                let task = TaskId::new(description.spec, index);
                let holders = self.state.task_holders(task);
                let local = description.known.local;
                // It may have failed after it was done, while the client was away.
                let failed = self.state.failure(self.session, local, index).is_some();
                if failed || self.client.ends.get(&(local, index)) == Some(&End::Failed) {
                    continue;
                }
                assert!(!holders.is_empty(), "{task} is done and held by nobody");
                for holder in holders {
                    let Some(found) = self.index_of(holder) else {
                        panic!("{task} is held by a worker that is not there");
                    };
                    let Some(stored) = self.workers[found].store.get(&task) else {
                        panic!("{task} cannot be read from {}", self.workers[found].name);
                    };
                    for (source, version) in &stored.made_of {
                        let other = versions.entry(*source).or_insert(*version);
                        assert_eq!(
                            other, version,
                            "{task} was made of another {source} than others"
                        );
                    }
                }
            }
        }
    }

    fn release_all(&mut self) {
        for description in &mut self.client.descriptions {
            description.released = true;
        }
        let count = self.client.next;
        let range = LocalRange { local: 0, start: 0, end: 0, count };
        self.state.release(self.time(), self.session, range);
        for job in 0..2 {
            self.state.close_job(self.session, job);
        }
        let end = self.now + 60_000_000;
        self.run_until(end, true);
        self.state.check_invariants();
        let counters = self.state.counters();
        let left: u64 = counters.tasks.iter().sum();
        assert_eq!(left, 0, "tasks are left after all is released");
        assert_eq!(counters.bytes_stored, 0);
        assert_eq!(counters.bytes_inline, 0);
        for worker in self.workers.iter().filter(|worker| worker.id.is_some()) {
            assert!(worker.store.is_empty(), "{} keeps {:?}", worker.name, worker.store.keys());
        }
    }
}
