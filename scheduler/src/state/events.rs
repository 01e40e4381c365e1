//! What workers report of their runs.

use dasklet_core::{DeathCause, ErrorClass, RunId, TaskId, WorkerId};

use super::{
    Action, AttemptEnd, AttemptRecord, FailedRun, FinishedRun, LostInput, State, TaskState, Time,
    ToWorker,
    members::{AGAIN, INLINE, REMADE, SIZES, WANTED},
    runs::Run,
    spec::Part,
    timers::Timer,
};

/// How often a task may meet workers that cannot run it.
const MAX_FAULTS: u32 = 5;
/// How often a task's inputs may be lost under its runs.
const MAX_INPUTS_LOST: u32 = 20;

impl State {
    /// A run has begun.
    pub fn run_started(&mut self, now: Time, w: WorkerId, run: RunId) {
        self.now = now;
        let Some(found) = self.runs.get_mut(run).filter(|run| run.worker == w) else {
            self.counters.stale += 1;
            return;
        };
        if found.started {
            return;
        }
        found.started = true;
        found.since = now;
        let task = found.task;
        if let Some(spec) = self.specs.get(task.spec)
            && let Some(timeout) = self.interned.options(spec.options).timeout_micros
        {
            // The worker enforces it; this is for workers that do not answer.
            let late = timeout.saturating_mul(2).saturating_add(5_000_000);
            self.add_timer(now.after_micros(late), Timer::RunTimeout(run));
        }
    }

    /// A run has ended well and its worker holds the outputs. False: it counts for nothing, being
    /// over or abandoned.
    pub fn run_finished(&mut self, now: Time, w: WorkerId, run: RunId, f: FinishedRun<'_>) -> bool {
        self.now = now;
        let Some(ended) = self.end_run(w, run) else { return false };
        let task = ended.task;
        if ended.abandoned {
            if !self.holds(w, task) && !self.runs_at(task, w) {
                // A copy that it fetches at the same time is dropped with it.
                self.outdate_copy(task, w);
                self.actions.push(Action::Worker(w, ToWorker::Release(task)));
            }
            return false;
        }
        self.counters.finished += 1;
        self.counters.run_micros += f.run_micros;
        self.interned.classes[ended.class as usize].mean.add(f.run_micros);
        let nbytes: u64 = f.nbytes.iter().fold(0, |sum, n| sum.saturating_add(*n));
        self.counters.bytes_produced += nbytes;
        let Some(spec) = self.specs.get_mut(task.spec) else { return false };
        let many = spec.outputs > 1;
        let read = spec.active > 0;
        let wanted_inline = f.inline.is_some();
        if let Some(array) = spec.array_mut() {
            array.mean.add(f.run_micros);
        }
        let inline = wanted_inline
            && (read || self.needed(task))
            && f.inline.is_some_and(|value| {
                self.counters.bytes_inline + value.len() as u64 <= self.config.inline_budget
            });
        if many {
            self.sizes.insert(task, f.nbytes.into());
        }
        if inline && let Some(value) = f.inline {
            self.counters.bytes_inline += value.len() as u64;
            self.inline.insert(task, value.into());
        }
        self.note_held(w, task, nbytes);
        self.counters.bytes_wanted += nbytes;
        self.update(task, |cell| {
            cell.state = TaskState::Done;
            cell.at = w.0;
            cell.nbytes = nbytes;
            cell.flags &= !(AGAIN | REMADE);
            if many {
                cell.flags |= SIZES;
            }
            if inline {
                cell.flags |= INLINE;
            }
        });
        self.available(task);
        self.after_finish(task, w, nbytes, f.inline);
        self.settle();
        true
    }

    fn after_finish(&mut self, task: TaskId, w: WorkerId, nbytes: u64, inline: Option<&[u8]>) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if !spec.cell(task.index).has(WANTED) {
            return self.after_done(task);
        }
        if let Some(job) = self.jobs.get(&spec.job)
            && !job.orphaned
        {
            let news = super::ToSession::Done {
                local: spec.local,
                index: task.index,
                holder: w,
                nbytes,
                inline: inline.map(Into::into),
            };
            self.actions.push(Action::Session(job.session, news));
        }
        self.check_own_sources(Part::of(task));
    }

    /// A run has ended with an error.
    pub fn run_failed(&mut self, now: Time, w: WorkerId, run: RunId, f: FailedRun) {
        self.now = now;
        let Some(ended) = self.end_run(w, run) else { return };
        if ended.abandoned {
            return;
        }
        self.counters.errors += 1;
        let task = ended.task;
        match f.class {
            ErrorClass::Crashed => {
                let cause = f.cause.unwrap_or(DeathCause::ExitCode { code: -1 });
                let ended = Run { started: true, ..ended };
                self.died(&ended, cause, f.run_micros);
            }
            ErrorClass::InputLost => self.input_lost(&ended, &f),
            ErrorClass::WorkerFault | ErrorClass::Cancelled => {
                self.record_error(&ended, &f);
                let history = self.history_mut(task);
                history.faults += 1;
                history.avoid.push(w);
                if history.faults >= MAX_FAULTS {
                    let message = format!(
                        "workers could not run it {MAX_FAULTS} times; the last said: {}",
                        f.message
                    );
                    self.fail(task, f.class, message);
                } else {
                    self.update(task, |cell| cell.flags |= AGAIN);
                    self.ready_or_wait(task);
                }
            }
            ErrorClass::Fatal | ErrorClass::Retryable | ErrorClass::TimedOut => {
                self.record_error(&ended, &f);
                self.retry_or_fail(task, f.class, f.message);
            }
        }
        self.settle();
    }

    fn record_error(&mut self, ended: &Run, f: &FailedRun) {
        let worker =
            self.workers.get(ended.worker).map_or("", |w| w.description.name.as_str()).to_owned();
        let record = AttemptRecord {
            number: ended.attempt,
            worker,
            started: true,
            end: AttemptEnd::Error(f.class, f.message.clone()),
            micros: f.run_micros,
        };
        self.record(ended.task, record, ended.worker);
    }

    fn retry_or_fail(&mut self, task: TaskId, class: ErrorClass, message: String) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        let options = self.interned.options(spec.options);
        let (retries, delay) = (options.retries, options.retry_delay_micros);
        let history = self.history_mut(task);
        if history.retries >= retries {
            return self.fail(task, class, message);
        }
        history.retries += 1;
        if delay == 0 {
            self.ready_or_wait(task);
        } else {
            self.delay(task, delay);
        }
    }

    /// The task waits before its next attempt.
    pub(super) fn delay(&mut self, task: TaskId, micros: u64) {
        self.update(task, |cell| {
            cell.state = TaskState::Delayed;
            cell.at = super::members::NOWHERE;
        });
        self.due_after(task, micros);
    }

    fn input_lost(&mut self, ended: &Run, f: &FailedRun) {
        let task = ended.task;
        self.record_error(ended, f);
        let history = self.history_mut(task);
        history.inputs_lost += 1;
        if history.inputs_lost > MAX_INPUTS_LOST {
            let message = format!(
                "its inputs could not be read {MAX_INPUTS_LOST} times; the last worker said: {}",
                f.message
            );
            return self.fail(task, ErrorClass::InputLost, message);
        }
        let tries = history.inputs_lost;
        let mut stays = f.lost_inputs.is_empty();
        let mut unreached = false;
        for LostInput { task: input, holder, missing } in f.lost_inputs.iter().copied() {
            if !self.holds(holder, input) || !self.reads(task, input) {
                continue;
            }
            let Some(spec) = self.specs.get(input.spec) else { continue };
            if !missing || self.irreplaceable(spec) && self.holders(input).len() == 1 {
                // The holder itself is to say that it has lost it: one reader that reaches nobody
                // must not cost outputs that are safe, and some cannot be made again.
                stays = true;
                unreached |= !missing;
                self.tell(holder, ToWorker::Confirm(input));
                continue;
            }
            self.remove_holder(input, holder);
            self.actions.push(Action::Worker(holder, ToWorker::Release(input)));
        }
        if unreached {
            // Perhaps it is the reader who reaches nobody.
            self.history_mut(task).avoid.push(ended.worker);
        }
        self.update(task, |cell| cell.flags |= AGAIN);
        if stays {
            self.delay(task, u64::from(tries) * 100_000);
        } else {
            self.ready_or_wait(task);
        }
    }

    fn reads(&self, task: TaskId, input: TaskId) -> bool {
        let Some(spec) = self.specs.get(task.spec) else { return false };
        spec.inputs.iter().any(|edge| match Self::source_task(task, edge) {
            Some(source) => source == input,
            None => edge.source == input.spec,
        })
    }

    /// A run was given back before it started.
    pub fn run_returned(&mut self, now: Time, w: WorkerId, run: RunId) {
        self.now = now;
        let Some(ended) = self.end_run(w, run) else { return };
        self.counters.returned += 1;
        if !ended.abandoned {
            self.ready_or_wait(ended.task);
            self.settle();
        }
    }

    /// The task's run, if it has one, is not its run any more: the worker is to stop it.
    pub(super) fn abandon_run(&mut self, task: TaskId) {
        let Some(cell) = self.specs.cell(task) else { return };
        if cell.state != TaskState::Assigned {
            return;
        }
        let Some(run) = self.runs.at_mut(cell.at) else { return };
        if run.abandoned {
            return;
        }
        run.abandoned = true;
        let worker = run.worker;
        if let Some((id, _)) = self.runs.at(cell.at) {
            self.actions.push(Action::Worker(worker, ToWorker::Cancel(id)));
        }
    }

    /// Takes a run from its worker's books. `None`: it is over already, the message is stale.
    fn end_run(&mut self, w: WorkerId, id: RunId) -> Option<Run> {
        if self.runs.get(id).is_none_or(|run| run.worker != w) {
            self.counters.stale += 1;
            return None;
        }
        let run = self.runs.remove(id)?;
        self.unload(&run);
        Some(run)
    }

    /// A delayed task's time is over.
    pub(super) fn wake(&mut self, task: TaskId) {
        self.due.remove(&task);
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.is_put {
            self.put_grace_over(task);
        } else if self.history.get(&task).is_some_and(|history| history.awaits_cause) {
            self.verdict(task, true);
        } else {
            self.ready_or_wait(task);
        }
        self.settle();
    }

    pub(super) fn run_overdue(&mut self, run: RunId) {
        let Some(found) = self.runs.get(run) else { return };
        if found.abandoned {
            return;
        }
        let task = found.task;
        let elapsed = self.now.micros_since(found.since);
        let ended = found.clone();
        let failed = FailedRun {
            class: ErrorClass::TimedOut,
            message: "it ran longer than its timeout, and its worker did not stop it".to_owned(),
            lost_inputs: Vec::new(),
            cause: None,
            run_micros: elapsed,
        };
        self.abandon_run(task);
        self.record_error(&ended, &failed);
        let spec = self.specs.get(task.spec);
        if spec.is_some_and(|spec| self.interned.options(spec.options).idempotent) {
            self.retry_or_fail(task, failed.class, failed.message);
        } else {
            // It may still run: nobody knows.
            self.fail(task, failed.class, failed.message);
        }
        self.settle();
    }
}
