//! What the scheduler tells the worker to do.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskId};
use dasklet_protocol::v1::{self, input::Source};
use foldhash::HashSet;

use crate::{
    fetch::Wanted,
    quick::run_quick,
    spec::{Input, Run, Spec},
    worker::{Worker, lock},
};

/// Does what one message says. What frees things comes first.
pub(crate) fn obey(worker: &Arc<Worker>, generation: u64, command: v1::WorkerCommand) {
    if !command.release.is_empty() {
        worker.store.release(&command.release);
    }
    for range in &command.release_ranges {
        worker.store.release_range(SpecId(range.spec), range.start, range.end);
    }
    if !command.forget_specs.is_empty() {
        worker.store.forget(&command.forget_specs);
        let mut arrays = lock(&worker.arrays);
        for spec in &command.forget_specs {
            arrays.remove(spec);
        }
    }
    if !command.peers.is_empty() {
        worker.fetcher.know(command.peers);
    }
    if !command.define.is_empty() {
        let mut arrays = lock(&worker.arrays);
        for define in command.define {
            arrays.insert(define.spec, worker.parser.parse(define, true));
        }
    }
    if command.undrain {
        worker.drain(false);
    }
    take_runs(worker, generation, command.assign, command.assign_members);
    if !command.cancel.is_empty() {
        cancel(worker, generation, &command.cancel.into_iter().collect());
    }
    if !command.give_back.is_empty() {
        worker.give_back(&command.give_back.into_iter().collect());
    }
    for replicate in command.replicate {
        worker.fetcher.replicate(worker, generation, replicate);
    }
    if !command.confirm.is_empty() {
        let gone = |task: &u64| worker.store.outputs(TaskId::from_bits(*task)).is_none();
        let gone: Vec<u64> = command.confirm.into_iter().filter(gone).collect();
        worker.agenda.tell(|message| message.dropped.extend(gone));
    }
    if let Some(drain) = command.drain {
        tracing::info!("draining, with {} ms for it", drain.deadline_millis);
        worker.drain(true);
    }
}

fn cancel(worker: &Worker, generation: u64, runs: &HashSet<u64>) {
    let waiting = worker.fetcher.give_back(Some(runs));
    worker.agenda.ended(generation, waiting.into_iter().map(crate::news::cancelled));
    worker.commands.cancel(generation, runs);
    worker.agenda.cancel(runs);
}

/// Runs whose inputs are here go to the agenda at once, the others when they have come.
fn take_runs(
    worker: &Arc<Worker>,
    generation: u64,
    assigns: Vec<v1::Assign>,
    members: Vec<v1::AssignMembers>,
) {
    let mut intake = Intake { worker, ready: Vec::new(), waiting: Vec::new() };
    for assign in assigns {
        let Some(define) = assign.spec else { continue };
        let spec = worker.parser.parse(define, false);
        let run = Run {
            id: assign.run,
            spec,
            index: 0,
            attempt: assign.attempt,
            announce: assign.announce_start,
            inputs: Box::default(),
        };
        intake.take(run, assign.inputs);
    }
    for group in members {
        intake.take_members(group);
    }
    let Intake { ready, waiting, .. } = intake;
    let ready = run_quick(worker, generation, ready);
    if !ready.is_empty() {
        worker.agenda.add(generation, ready);
    }
    if !waiting.is_empty() {
        worker.fetcher.add(worker, generation, waiting);
    }
}

struct Intake<'a> {
    worker: &'a Worker,
    ready: Vec<Run>,
    waiting: Vec<(Run, Vec<Wanted>)>,
}

impl Intake<'_> {
    fn take_members(&mut self, group: v1::AssignMembers) {
        let spec: Option<Arc<Spec>> = lock(&self.worker.arrays).get(&group.spec).cloned();
        let Some(spec) = spec else {
            tracing::error!("task array {} was never described; giving its runs back", group.spec);
            self.worker.agenda.tell(|message| message.returned.extend(group.run));
            return;
        };
        self.ready.reserve(group.run.len());
        let mut inputs = group.inputs.into_iter();
        for (position, (id, index)) in group.run.iter().zip(&group.index).enumerate() {
            let run = Run {
                id: *id,
                spec: spec.clone(),
                index: *index,
                attempt: group.attempt.get(position).copied().unwrap_or(1),
                announce: group.announce_start.get(position).copied().unwrap_or(false),
                inputs: Box::default(),
            };
            self.take(run, inputs.next().map_or(Vec::new(), |inputs| inputs.inputs));
        }
    }

    fn take(&mut self, mut run: Run, inputs: Vec<v1::Input>) {
        if inputs.is_empty() {
            self.ready.push(run);
            return;
        }
        let mut wanted = Vec::new();
        run.inputs = inputs
            .into_iter()
            .enumerate()
            .map(|(position, input)| match input.source {
                Some(Source::One(one)) => self.one(position as u32, one, &mut wanted),
                Some(Source::Many(many)) => self.many(position as u32, many, &mut wanted),
                None => Input::Value(Bytes::new()),
            })
            .collect();
        if wanted.is_empty() {
            self.ready.push(run);
        } else {
            self.waiting.push((run, wanted));
        }
    }

    fn one(&self, position: u32, one: v1::OneInput, wanted: &mut Vec<Wanted>) -> Input {
        if let Some(value) = one.inline {
            return Input::Value(value);
        }
        let task = TaskId::from_bits(one.task);
        if let Some(here) = self.here(task, one.output, &one.holders, one.varying) {
            return here;
        }
        wanted.push(Wanted {
            task,
            output: one.output,
            holders: one.holders.into_iter().collect(),
            nbytes: one.nbytes,
            keep: !one.varying,
            position,
            member: None,
        });
        Input::Value(Bytes::new())
    }

    fn many(&self, position: u32, mut many: v1::ManyInputs, wanted: &mut Vec<Wanted>) -> Input {
        let count = many.holder.len().max(many.inline_length.len());
        let inputs = (0..count)
            .map(|member| {
                let inline = many.inline_length.get(member).copied().unwrap_or(0) as usize;
                if inline > 0 && inline - 1 <= many.inline_bytes.len() {
                    return Input::Value(many.inline_bytes.split_to(inline - 1));
                }
                let task = TaskId::new(SpecId(many.spec), member as u32);
                let holders = many.holder.get(member).copied();
                if let Some(here) = self.here(task, many.output, holders.as_slice(), many.varying) {
                    return here;
                }
                wanted.push(Wanted {
                    task,
                    output: many.output,
                    holders: holders.into_iter().collect(),
                    nbytes: many.nbytes.get(member).copied().unwrap_or(0),
                    keep: !many.varying,
                    position,
                    member: Some(member as u32),
                });
                Input::Value(Bytes::new())
            })
            .collect();
        Input::Many(inputs)
    }

    /// The input, if this worker has it. If only the scheduler says so, the start of the run
    /// finds that out and reports it as lost.
    fn here(&self, task: TaskId, output: u32, holders: &[u32], varying: bool) -> Option<Input> {
        let me = self.worker.id.load(Ordering::Relaxed);
        if varying && !holders.contains(&me) {
            return None;
        }
        if holders != [me] {
            if let Some(reading) = self.worker.store.read_again(task, output) {
                return Some(Input::Read(reading));
            }
            self.worker.store.outputs(task)?;
        }
        Some(Input::Stored { task, output })
    }
}
