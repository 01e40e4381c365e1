//! The world around the state machine: a clock, and what happens in its time.

mod chance;
mod checks;
mod fleet;
mod network;
mod requests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use dasklet_core::{DeathCause, ErrorClass, RunId, SessionId, TaskId, WorkerId};
use dasklet_scheduler::state::{
    Action, Config, FailedRun, FinishedRun, InputView, LostInput, State, TaskState, Time, ToWorker,
};
use network::{Event, Order};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    client::SimClient,
    worker::{Assigned, Read, Report, SimWorker},
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
}
