//! What the state machine alone costs for one task, from its submission to its release:
//! `cargo run --release -p dasklet-scheduler --example state_bench [tasks] [workers]`.

use std::{error::Error, time::Instant};

use dasklet_core::{Key, Resources, RunId, WorkerId};
use dasklet_scheduler::state::{
    Action, Config, Dependency, FinishedRun, LocalRange, Members, Output, Source, State,
    SubmittedTask, TaskOptions, Time, ToWorker, WorkerDescription,
};

fn task(array: Option<u32>, dependencies: Vec<Dependency>, wanted: bool) -> SubmittedTask {
    let body = Box::new([0u8; 16]);
    let key = Key::from("");
    SubmittedTask {
        key,
        body,
        dependencies,
        options: 0,
        array,
        first_index: 0,
        outputs: 1,
        order: 0,
        wanted,
    }
}

fn tree(leaves: u64) -> Vec<SubmittedTask> {
    let mut tasks: Vec<_> = (0..leaves).map(|_| task(None, Vec::new(), false)).collect();
    let reads = |local| Dependency {
        source: Source::Local(local),
        members: Members::One(0),
        output: Output::Fixed(0),
    };
    for node in leaves..2 * leaves - 1 {
        let first = 2 * (node - leaves);
        tasks.push(task(None, vec![reads(first), reads(first + 1)], node == 2 * leaves - 2));
    }
    tasks
}

fn run(name: &str, workers: u32, tasks: Vec<SubmittedTask>) -> Result<(), Box<dyn Error>> {
    let count: u64 = tasks.iter().map(|task| u64::from(task.array.unwrap_or(1))).sum();
    let specs = tasks.len() as u64;
    let now = Time(0);
    let mut state = State::new(Config::default());
    for number in 0..workers {
        let description = WorkerDescription {
            name: format!("w{number}"),
            instance: String::new(),
            boot_nonce: String::new(),
            group: String::new(),
            data_address: String::new(),
            resources: Resources::one_slot(),
            leaving: false,
        };
        state.add_worker(now, description, Vec::new());
    }
    let session = state.open_session(now, "bench")?;
    state.open_job(now, session, 0, "bench", 1.0)?;
    let start = Instant::now();
    state.submit(now, session, 0, 0, vec![TaskOptions::default()], tasks)?;
    let submitted = start.elapsed();
    let mut actions = Vec::new();
    let mut runs: Vec<(WorkerId, RunId)> = Vec::new();
    let (mut finished, mut ticks) = (0u64, 0u64);
    while finished < count {
        state.schedule(now);
        state.take_actions(&mut actions);
        ticks += 1;
        runs.extend(actions.drain(..).filter_map(|action| match action {
            Action::Worker(worker, ToWorker::Assign(run)) => Some((worker, run)),
            _ => None,
        }));
        if runs.is_empty() {
            return Err("nothing was handed out".into());
        }
        for (worker, run) in runs.drain(..) {
            let f = FinishedRun { nbytes: &[8], inline: Some(&[0; 8]), run_micros: 0 };
            state.run_finished(now, worker, run, f);
            finished += 1;
        }
    }
    state.release(now, session, LocalRange { local: 0, start: 0, end: 0, count: specs });
    let all = start.elapsed();
    println!(
        "{name}: {count} tasks, {workers} workers, {ticks} ticks: submit {:.3} us, all {:.3} us a task",
        submitted.as_secs_f64() * 1e6 / count as f64,
        all.as_secs_f64() * 1e6 / count as f64,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let count = args.next().transpose()?.unwrap_or(1_000_000);
    let workers = args.next().transpose()?.unwrap_or(2);
    run("array", workers, vec![task(Some(count), Vec::new(), true)])?;
    run("described", workers, (0..count).map(|_| task(None, Vec::new(), true)).collect())?;
    run("tree", workers, tree(u64::from(count).next_power_of_two() / 2))
}
