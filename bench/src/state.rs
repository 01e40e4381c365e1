//! The scheduler's state machine alone: the whole life of tasks without a process around it.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use dasklet_core::{Epoch, Key, Resources, RunId, SessionId, WorkerId};
use dasklet_scheduler::state::{
    Action, Config, FinishedRun, LocalRange, State, SubmittedTask, TaskOptions, Time, ToSession,
    ToWorker, WorkerDescription,
};

use crate::{process::own_cpu_seconds, report::Report};

/// Tasks of one submission, as they come over the wire.
const BATCH: u32 = 16_384;
/// Microseconds of the clock between two batches of news.
const TICK: u64 = 100;

/// Options of `state`.
#[derive(Debug, Args)]
pub struct Options {
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u32,
    /// Workers
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Tasks at once on each
    #[arg(long, default_value_t = 64)]
    slots: u32,
    /// One task array instead of tasks described one by one
    #[arg(long)]
    array: bool,
}

/// Submission, assignment, end and release of independent tasks.
pub fn run(options: &Options) -> Result<Option<Report>> {
    let mut bench = Bench::new(options)?;
    let (begun, cpu) = (Instant::now(), own_cpu_seconds()?);
    bench.submit(options)?;
    while bench.ended < u64::from(options.tasks) {
        let before = bench.ended;
        bench.turn();
        ensure!(
            bench.ended > before || !bench.runs.is_empty(),
            "the state machine stopped after {before} tasks"
        );
    }
    bench.release(options);
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), own_cpu_seconds()? - cpu);
    let tasks = f64::from(options.tasks);
    let report = Report::new("state")
        .with("tasks", options.tasks)
        .with("workers", options.workers)
        .with("slots", options.slots)
        .with("array", options.array)
        .with("seconds", seconds)
        .with("tasks_per_second", (tasks / seconds).round())
        .with("cpu_us_per_task", cpu * 1e6 / tasks);
    Ok(Some(report))
}

struct Bench {
    state: State,
    session: SessionId,
    now: Time,
    actions: Vec<Action>,
    runs: Vec<(WorkerId, RunId)>,
    ended: u64,
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        let mut state = State::new(Config { epoch: Epoch(1), ..Config::default() });
        let now = Time(0);
        for number in 0..options.workers {
            let worker = WorkerDescription {
                name: format!("w-{number}"),
                instance: number.to_string(),
                boot_nonce: "1".to_owned(),
                group: String::new(),
                data_address: "127.0.0.1:1".to_owned(),
                resources: Resources::default().with("cpu", u64::from(options.slots) * 1000),
                leaving: false,
            };
            state.add_worker(now, worker, Vec::new());
        }
        let session = state.open_session(now, "bench")?;
        state.open_job(now, session, 0, "bench", 1.0)?;
        let (actions, runs) = (Vec::new(), Vec::new());
        Ok(Self { state, session, now, actions, runs, ended: 0 })
    }

    fn submit(&mut self, options: &Options) -> Result<()> {
        if options.array {
            return self.submit_tasks(0, 1, Some(options.tasks));
        }
        for first in (0..options.tasks).step_by(BATCH as usize) {
            self.submit_tasks(first.into(), BATCH.min(options.tasks - first), None)?;
            self.turn();
        }
        Ok(())
    }

    fn submit_tasks(&mut self, first: u64, count: u32, array: Option<u32>) -> Result<()> {
        let task = |order| SubmittedTask {
            key: Key::from(""),
            body: Box::from(&b"\x0a\x06\x0a\x04noop"[..]),
            dependencies: Vec::new(),
            options: 0,
            array,
            first_index: 0,
            outputs: 1,
            order,
            wanted: true,
        };
        let tasks = (0..count).map(task).collect();
        let options = vec![TaskOptions::default()];
        self.state.submit(self.now, self.session, 0, first, options, tasks)?;
        Ok(())
    }

    /// The workers tell of all their runs' ends; new ones are placed.
    fn turn(&mut self) {
        self.now = self.now.after_micros(TICK);
        for (worker, run) in self.runs.drain(..) {
            let finished = FinishedRun { nbytes: &[0], inline: Some(&[]), run_micros: 1 };
            self.state.run_finished(self.now, worker, run, finished);
        }
        self.state.schedule(self.now);
        self.take();
    }

    fn take(&mut self) {
        self.state.take_actions(&mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Worker(worker, ToWorker::Assign(run)) => self.runs.push((worker, run)),
                Action::Session(_, ToSession::Done { .. }) => self.ended += 1,
                _ => {}
            }
        }
    }

    fn release(&mut self, options: &Options) {
        let count = if options.array { 0 } else { options.tasks.into() };
        let range = LocalRange { local: 0, start: 0, end: 0, count };
        self.state.release(self.now, self.session, range);
        self.take();
    }
}
