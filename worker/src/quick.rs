//! Runs of quick operations, on the thread that talks to the scheduler: handing one to another
//! thread and its result back takes many times longer than the run itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    executor::Runner,
    spec::{Body, Input, Run},
    worker::Worker,
};

/// The thread does nothing else for so long at most; what is left goes to the executor threads.
const LONGEST: Duration = Duration::from_micros(200);
/// Runs that read more bytes go to the executor threads.
const MOST_READ: usize = 16 << 10;

/// Runs the quick ones of `ready`, and gives back the others in their order.
pub(crate) fn run_quick(worker: &Worker, generation: u64, ready: Vec<Run>) -> Vec<Run> {
    let quick = |run: &Run| matches!(&run.spec.body, Body::Native { operation, .. } if operation.is_quick());
    if !ready.first().is_some_and(quick) || !worker.agenda.may_start() || worker.store.is_full() {
        return ready;
    }
    let mut runner = Runner::new(Arc::default());
    let mut ended = Vec::with_capacity(ready.len());
    let mut rest = Vec::new();
    let start = Instant::now();
    let mut begun = start;
    for mut run in ready {
        if begun - start > LONGEST || !quick(&run) || !may_run(worker, &mut run) {
            rest.push(run);
            continue;
        }
        ended.push(runner.run(worker, &run, generation, &mut begun));
    }
    worker.agenda.ended(generation, ended);
    rest
}

/// Nothing has to be waited for: neither the scheduler nor a disk. Takes the inputs that are
/// stored here out of the store.
fn may_run(worker: &Worker, run: &mut Run) -> bool {
    if !run.is_short() || run.spec.class.is_none() {
        return false;
    }
    let mut bytes = 0;
    for input in &mut run.inputs {
        let here = match input {
            Input::Stored { task, output } => worker.store.in_memory(*task, *output),
            Input::Read(reading) => reading.in_memory(),
            Input::Value(_) | Input::Many(_) => None,
        };
        if let Some(value) = here {
            *input = Input::Value(value);
        }
        match input {
            Input::Value(value) => bytes += value.len(),
            Input::Stored { .. } | Input::Read(_) | Input::Many(_) => return false,
        }
    }
    bytes <= MOST_READ
}
