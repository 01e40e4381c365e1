//! What a worker is to be told, and how it is put into messages.

use std::collections::VecDeque;

use bytes::Bytes;
use dasklet_core::{RunId, TaskId, WorkerId};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};
use foldhash::HashSet;

use super::{
    bits::Bits,
    inputs,
    link::Speech,
    shell::{Core, Shell},
};
use crate::state::{AssignmentView, State, Time, ToWorker};

/// Decisions that wait for room on a worker's connection. Bounded by the state machine: a worker
/// gets runs only within its prefill window.
#[derive(Debug, Default)]
pub(super) struct WorkerOutbox {
    /// Sent before anything else.
    pub welcome: Option<v1::WorkerWelcome>,
    queue: VecDeque<ToWorker>,
    /// When the event came that led to the oldest in the queue.
    since: Option<Time>,
    known: Known,
}

/// What a worker has been told before.
#[derive(Debug, Default)]
struct Known {
    peers: Bits,
    specs: HashSet<u32>,
}

/// A message in the making.
struct Draft<'a> {
    state: &'a State,
    known: &'a mut Known,
    message: v1::WorkerCommand,
    bytes: usize,
    inline_bytes: usize,
    runs: u64,
    recovering: u64,
}

/// What goes to workers.
pub(super) struct ToWorkers;

impl Speech for ToWorkers {
    type Message = v1::WorkerCommand;

    fn next(shell: &Shell, core: &mut Core, id: u32) -> Option<Self::Message> {
        let peer = core.workers.get_mut(WorkerId(id))?;
        let since = peer.outbox.since;
        let written = peer.outbox.next(&core.state)?;
        if written.runs > 0 {
            let now = shell.now();
            let waited = now.micros_since(since.unwrap_or(now));
            core.metrics.dispatched(now, waited, written.runs, written.recovering);
        }
        Some(written.message)
    }

    fn rejected(reason: String) -> Self::Message {
        v1::WorkerCommand { rejected: Some(v1::Rejected { reason }), ..Default::default() }
    }
}

/// A message and what is counted of it.
pub(super) struct Written {
    /// The message.
    pub message: v1::WorkerCommand,
    /// Runs it hands out.
    pub runs: u64,
    /// Of these, such that make up for what went with a worker.
    pub recovering: u64,
}

impl WorkerOutbox {
    /// With a welcome to be sent first.
    pub fn new(welcome: v1::WorkerWelcome) -> Self {
        Self { welcome: Some(welcome), ..Self::default() }
    }

    /// Keeps a decision. `since`: when the event came that led to it.
    pub fn push(&mut self, decision: ToWorker, since: Time) {
        self.since.get_or_insert(since);
        self.queue.push_back(decision);
    }

    /// The next message, of about [`TARGET_MESSAGE_BYTES`] at most.
    pub fn next(&mut self, state: &State) -> Option<Written> {
        if self.welcome.is_none() && self.queue.is_empty() {
            return None;
        }
        let welcome = self.welcome.take();
        let welcomed = welcome.is_some();
        let mut draft = Draft {
            state,
            known: &mut self.known,
            message: v1::WorkerCommand { welcome, ..Default::default() },
            bytes: 0,
            inline_bytes: 0,
            runs: 0,
            recovering: 0,
        };
        while draft.bytes < TARGET_MESSAGE_BYTES {
            let Some(decision) = self.queue.front() else { break };
            if draft.must_wait(decision) {
                break;
            }
            if let Some(decision) = self.queue.pop_front() {
                draft.add(decision);
            }
        }
        if self.queue.is_empty() {
            self.since = None;
        }
        let Draft { message, bytes, runs, recovering, .. } = draft;
        (welcomed || bytes > 0).then_some(Written { message, runs, recovering })
    }
}

impl Draft<'_> {
    /// The worker drops what is released before it starts anything of the same message. So a
    /// release that was decided after a copy was asked for goes into the next message.
    fn must_wait(&self, next: &ToWorker) -> bool {
        match next {
            ToWorker::Release(_) | ToWorker::ReleaseRange(..) | ToWorker::Forget(_) => {
                !self.message.replicate.is_empty()
            }
            ToWorker::Undrain => self.message.drain.is_some() || self.message.shutdown,
            ToWorker::Drain(_) => self.message.undrain,
            _ => false,
        }
    }

    fn add(&mut self, decision: ToWorker) {
        match decision {
            ToWorker::Assign(run) => self.assign(run),
            ToWorker::Cancel(run) => self.push_id(|m| &mut m.cancel, run.to_bits()),
            ToWorker::GiveBack(run) => self.push_id(|m| &mut m.give_back, run.to_bits()),
            ToWorker::Release(task) => self.push_id(|m| &mut m.release, task.to_bits()),
            ToWorker::ReleaseRange(spec, start, end) => {
                self.message.release_ranges.push(v1::Range { spec: spec.0, start, end });
                self.bytes += 20;
            }
            ToWorker::Forget(spec) => {
                self.known.specs.remove(&spec.0);
                self.message.forget_specs.push(spec.0);
                self.bytes += 5;
            }
            ToWorker::Replicate(task, from) => self.replicate(task, from),
            ToWorker::Confirm(task) => self.push_id(|m| &mut m.confirm, task.to_bits()),
            // The value comes with its task's id and key, so there is nothing to prepare.
            ToWorker::ExpectPut(_) => {}
            ToWorker::Drain(longest) => {
                // Zero stands for no deadline, so a deadline is one millisecond at least.
                let deadline_millis = longest.map_or(0, |micros| (micros / 1000).max(1));
                self.message.drain = Some(v1::Drain { deadline_millis });
                self.bytes += 12;
            }
            ToWorker::Undrain => {
                self.message.undrain = true;
                self.bytes += 2;
            }
            ToWorker::Shutdown => {
                self.message.shutdown = true;
                self.bytes += 2;
            }
        }
    }

    fn push_id(&mut self, column: impl FnOnce(&mut v1::WorkerCommand) -> &mut Vec<u64>, id: u64) {
        column(&mut self.message).push(id);
        self.bytes += 10;
    }

    fn replicate(&mut self, task: TaskId, from: WorkerId) {
        let Some(definition) = self.state.definition(task.spec) else { return };
        let outputs = definition.outputs();
        if !self.mention(from) {
            return;
        }
        self.bytes += 40;
        self.message.replicate.push(v1::Replicate {
            task: task.to_bits(),
            outputs,
            from: from.0,
            nbytes: self.state.task_bytes(task),
        });
    }

    /// Tells who a worker is before its first mention; false if it is gone.
    fn mention(&mut self, worker: WorkerId) -> bool {
        inputs::mention(self.state, &mut self.known.peers, &mut self.message.peers, worker)
    }

    fn assign(&mut self, run: RunId) {
        let Some(view) = self.state.assignment(run) else { return };
        self.runs += 1;
        self.recovering += u64::from(view.recovers);
        let mut inputs = Vec::new();
        for input in view.inputs() {
            let input = inputs::write(
                self.state,
                input,
                &mut self.known.peers,
                &mut self.message.peers,
                &mut self.inline_bytes,
            );
            self.bytes += inputs::size(&input);
            inputs.push(input);
        }
        if view.is_array {
            self.assign_member(&view, run, inputs);
        } else {
            self.assign_described(&view, run, inputs);
        }
    }

    fn assign_described(&mut self, view: &AssignmentView<'_>, run: RunId, inputs: Vec<v1::Input>) {
        let Some(spec) = self.define(view) else { return };
        self.bytes += 32;
        self.message.assign.push(v1::Assign {
            spec: Some(spec),
            run: run.to_bits(),
            inputs,
            attempt: view.attempt,
            announce_start: view.announce_start,
        });
    }

    fn assign_member(&mut self, view: &AssignmentView<'_>, run: RunId, inputs: Vec<v1::Input>) {
        let spec = view.task.spec.0;
        let same = self.message.assign_members.last().is_some_and(|last| last.spec == spec);
        if !same {
            if self.known.specs.insert(spec) {
                let Some(definition) = self.define(view) else { return };
                self.message.define.push(definition);
            }
            self.message.assign_members.push(v1::AssignMembers { spec, ..Default::default() });
            self.bytes += 16;
        }
        let Some(members) = self.message.assign_members.last_mut() else { return };
        let before = members.run.len();
        members.index.push(view.task.index);
        members.run.push(run.to_bits());
        self.bytes += 14;
        // The usual values are left out until a member differs.
        if view.attempt != 1 || !members.attempt.is_empty() {
            members.attempt.resize(before, 1);
            members.attempt.push(view.attempt);
        }
        if view.announce_start || !members.announce_start.is_empty() {
            members.announce_start.resize(before, false);
            members.announce_start.push(view.announce_start);
        }
        if !inputs.is_empty() {
            members.inputs.push(v1::Inputs { inputs });
        }
    }

    fn define(&mut self, view: &AssignmentView<'_>) -> Option<v1::DefineSpec> {
        let definition = self.state.definition(view.task.spec)?;
        let key = Bytes::copy_from_slice(definition.key().as_bytes());
        let body = Bytes::copy_from_slice(definition.body());
        self.bytes += 48 + key.len() + body.len();
        Some(v1::DefineSpec {
            spec: view.task.spec.0,
            key,
            body,
            outputs: definition.outputs(),
            resources: inputs::amounts(&definition.options().resources),
            timeout_millis: definition.options().timeout_micros.map_or(0, |us| (us / 1000).max(1)),
            priority: definition.options().priority,
            first_index: definition.first_index(),
        })
    }
}
