//! The threads that run native operations and query stages.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use dasklet_core::{ErrorClass, TaskError, TaskId};
use smallvec::{SmallVec, smallvec};

use crate::{
    msgpack,
    news::{Ended, Ending, Failed, Lost, micros},
    registry::{Returned, SlotFlags, TaskContext},
    spec::{Arg, Body, Input, Run},
    stage::StageContext,
    worker::Worker,
};

/// Starts one thread for each slot.
///
/// # Errors
/// The system gives no more threads.
pub(crate) fn start(worker: &Arc<Worker>) -> std::io::Result<()> {
    for slot in 0..worker.settings.slots {
        let executor = Executor {
            worker: Arc::downgrade(worker),
            slot,
            runner: Runner::new(worker.agenda.flags(slot)),
        };
        std::thread::Builder::new().name(format!("slot-{slot}")).spawn(move || executor.work())?;
    }
    Ok(())
}

struct Executor {
    worker: Weak<Worker>,
    slot: usize,
    runner: Runner,
}

impl Executor {
    fn work(mut self) {
        let Some(worker) = self.worker.upgrade() else { return };
        let mut batch = Vec::new();
        let mut ended = Vec::new();
        while let Some(generation) = worker.agenda.exchange(self.slot, &mut ended, &mut batch) {
            let mut begun = Instant::now();
            for run in batch.drain(..) {
                if run.announce && !worker.agenda.announce(run.id, generation) {
                    continue;
                }
                ended.push(self.runner.run(&worker, &run, generation, &mut begun));
            }
        }
    }
}

/// Runs one run after the other.
pub(crate) struct Runner {
    flags: Arc<SlotFlags>,
    args: Vec<Bytes>,
}

impl Runner {
    pub fn new(flags: Arc<SlotFlags>) -> Self {
        Self { flags, args: Vec::new() }
    }

    /// Runs what began at `begun`, which becomes the time of its end.
    pub fn run(
        &mut self,
        worker: &Worker,
        run: &Run,
        generation: u64,
        begun: &mut Instant,
    ) -> Ended {
        let ending = self.end_of(worker, run, generation);
        let now = Instant::now();
        let time = now - std::mem::replace(begun, now);
        if let Body::Native { operation, .. } = &run.spec.body {
            operation.ran(time.as_nanos() as u64);
        }
        Ended { run: run.id, micros: micros(time), ending }
    }

    fn end_of(&mut self, worker: &Worker, run: &Run, generation: u64) -> Ending {
        let context = TaskContext {
            index: run.shown_index(),
            attempt: run.attempt,
            outputs: run.spec.outputs,
            flags: self.flags.clone(),
        };
        let result = match &run.spec.body {
            Body::Native { operation, args } => {
                if let Err(failed) = self.arguments(worker, run, args) {
                    return Ending::Failed(failed);
                }
                let args = &self.args;
                catch_unwind(AssertUnwindSafe(|| operation.call(&context, args)))
                    .unwrap_or_else(|panic| Err(panicked(&operation.name, panic.as_ref())))
            }
            Body::Stage(stage) => {
                let inputs = match stage_inputs(worker, run) {
                    Ok(inputs) => inputs,
                    Err(failed) => return Ending::Failed(failed),
                };
                run_stage(worker, &context, stage, inputs)
            }
            Body::Command(_) | Body::Unusable(_) => {
                Err(TaskError::worker_fault("a command came to a thread for native operations"))
            }
        };
        self.args.clear();
        let outputs = match result.and_then(|returned| outputs(run, returned)) {
            Ok(outputs) => outputs,
            Err(error) => return error.into(),
        };
        if self.flags.abandoned.load(Ordering::Relaxed) {
            return TaskError::new(ErrorClass::TimedOut, "its result is no longer wanted").into();
        }
        keep(worker, run, generation, outputs)
    }

    fn arguments(&mut self, worker: &Worker, run: &Run, args: &[Arg]) -> Result<(), Box<Failed>> {
        self.args.clear();
        for arg in args {
            let value = match arg {
                Arg::Literal(value) => value.clone(),
                Arg::Index => msgpack::unsigned(run.shown_index()),
                Arg::Input(position) => match run.inputs.get(*position as usize) {
                    Some(Input::Many(many)) => msgpack::list(&load_all(worker, many)?),
                    Some(input) => load(worker, input)?,
                    None => {
                        return Err(failed(TaskError::fatal(format!(
                            "the task reads its input {position}, but has only {}",
                            run.inputs.len()
                        ))));
                    }
                },
            };
            self.args.push(value);
        }
        Ok(())
    }
}

/// Stores what a run gave, and says how it ended.
pub(crate) fn keep(
    worker: &Worker,
    run: &Run,
    generation: u64,
    outputs: SmallVec<[Bytes; 1]>,
) -> Ending {
    let ending = match outputs.as_slice() {
        [value] => {
            let inline = value.len() <= 64 << 10;
            Ending::One { nbytes: value.len() as u64, value: inline.then(|| value.clone()) }
        }
        many => Ending::Many(many.iter().map(|value| value.len() as u64).collect()),
    };
    match worker.store.put(generation, run.task(), outputs) {
        // Of an earlier session: nobody hears of it.
        Ok(_) => ending,
        Err(error) => error.into(),
    }
}

fn failed(error: TaskError) -> Box<Failed> {
    Box::new(Failed { error, lost: Vec::new(), exit_code: 0, signal: 0 })
}

/// The bytes of an input that is here.
pub(crate) fn load(worker: &Worker, input: &Input) -> Result<Bytes, Box<Failed>> {
    match input {
        Input::Value(value) => Ok(value.clone()),
        Input::Read(reading) => reading.load().map_err(|_| lost_here(worker, &[reading.task()])),
        Input::Stored { task, output } => {
            worker.store.load(*task, *output).map_err(|_| lost_here(worker, &[*task]))
        }
        Input::Many(many) => load_all(worker, many).map(|values| msgpack::list(&values)),
    }
}

/// The bytes of each input that is here.
pub(crate) fn load_all(worker: &Worker, inputs: &[Input]) -> Result<Vec<Bytes>, Box<Failed>> {
    let mut values = Vec::with_capacity(inputs.len());
    let mut lost = Vec::new();
    for input in inputs {
        match load(worker, input) {
            Ok(value) => values.push(value),
            Err(_) => lost.extend(input.task()),
        }
    }
    if lost.is_empty() { Ok(values) } else { Err(lost_here(worker, &lost)) }
}

fn lost_here(worker: &Worker, tasks: &[TaskId]) -> Box<Failed> {
    let me = worker.id.load(Ordering::Relaxed);
    Box::new(Failed {
        error: TaskError::new(
            ErrorClass::InputLost,
            format!(
                "worker '{}' no longer has {} of the inputs",
                worker.settings.name,
                tasks.len()
            ),
        ),
        lost: tasks
            .iter()
            .map(|task| Lost { task: task.to_bits(), holder: me, missing: true })
            .collect(),
        exit_code: 0,
        signal: 0,
    })
}

fn stage_inputs(worker: &Worker, run: &Run) -> Result<Vec<Vec<Bytes>>, Box<Failed>> {
    run.inputs
        .iter()
        .map(|input| match input {
            Input::Many(many) => load_all(worker, many),
            one => load(worker, one).map(|value| vec![value]),
        })
        .collect()
}

fn run_stage(
    worker: &Worker,
    context: &TaskContext,
    stage: &[u8],
    inputs: Vec<Vec<Bytes>>,
) -> Result<Returned, TaskError> {
    let Some(stages) = worker.registry.stages() else {
        return Err(TaskError::fatal(
            "this worker does not run query stages: run workers of a build that has them",
        ));
    };
    let stage_context = StageContext {
        task: context,
        scratch: worker.store.scratch().path(),
        memory: worker.settings.memory_limit / 2,
    };
    catch_unwind(AssertUnwindSafe(|| stages.run(stage, inputs, &stage_context)))
        .unwrap_or_else(|panic| Err(panicked("query stage", panic.as_ref())))
        .map(Returned::Many)
}

fn outputs(run: &Run, returned: Returned) -> Result<SmallVec<[Bytes; 1]>, TaskError> {
    let outputs: SmallVec<[Bytes; 1]> = match returned {
        Returned::One(value) => smallvec![value],
        Returned::Many(values) => values.into(),
    };
    if outputs.len() == run.spec.outputs as usize {
        return Ok(outputs);
    }
    Err(TaskError::fatal(format!(
        "the task has {} outputs, but what ran gave {}: make both the same",
        run.spec.outputs,
        outputs.len()
    )))
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> TaskError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    TaskError::fatal(format!("operation '{name}' panicked: {message}"))
}
