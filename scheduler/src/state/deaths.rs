//! Attempts that ended with their worker or process: what counts, and the verdict.

use dasklet_core::{DeathCause, ErrorClass, TaskId, WorkerId, demand::MemberRef};

use super::{
    AttemptEnd, AttemptRecord, State, TaskState, Time, failures::describe, members::AGAIN,
    runs::Run,
};

/// Dead workers that are remembered, so that a better known cause can be told later.
const MAX_GONE: usize = 1024;

/// A worker that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    id: WorkerId,
    name: String,
    instance: String,
    /// What ran on it.
    tasks: Vec<TaskId>,
}

impl State {
    /// An attempt ended with its worker or process.
    pub(super) fn died(&mut self, run: &Run, cause: DeathCause, micros: u64) {
        let task = run.task;
        self.counters.deaths += 1;
        let name = self.workers.get(run.worker).map(|w| w.description.name.clone());
        let record = AttemptRecord {
            number: run.attempt,
            worker: name.or_else(|| self.gone_name(run.worker)).unwrap_or_default(),
            started: run.started,
            end: AttemptEnd::Died(cause.clone()),
            micros,
        };
        self.record(task, record, run.worker);
        let Some(spec) = self.specs.get(task.spec) else { return };
        if !self.interned.options(spec.options).idempotent {
            let message = format!(
                "its worker ended ({cause}) while the task may have been running, and it is not idempotent, so it is not run again: look at what it did, and submit it again if that is right"
            );
            return self.fail(task, ErrorClass::Crashed, message);
        }
        self.counters.interrupted += u64::from(self.workers.get(run.worker).is_none());
        self.update(task, |cell| cell.flags |= AGAIN);
        self.verdict(task, false);
    }

    /// Decides whether a task that died is tried again.
    pub(super) fn verdict(&mut self, task: TaskId, waited: bool) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        let limit = self.interned.options(spec.options).max_deaths.max(1);
        let history = self.history_mut(task);
        let counted = |provisional: bool| {
            let counts = |record: &AttemptRecord| match &record.end {
                AttemptEnd::Died(cause) => {
                    record.started
                        && cause.may_be_the_tasks_doing()
                        && (provisional || !cause.is_provisional())
                }
                AttemptEnd::Error(..) => false,
            };
            history.attempts.iter().filter(|(record, _)| counts(record)).count() as u32
        };
        let (all, certain) = (counted(true), counted(false));
        let tries: Vec<String> =
            history.attempts.iter().map(|(record, _)| describe(record)).collect();
        if all < limit {
            history.awaits_cause = false;
            return self.ready_or_wait(task);
        }
        if certain >= limit || waited {
            let message = format!(
                "{all} attempts ended with the worker or process that ran them, the most that are made: {}. Give the task more memory or a fix, or raise max_deaths",
                tries.join("; ")
            );
            return self.fail(task, ErrorClass::Crashed, message);
        }
        history.awaits_cause = true;
        self.delay(task, self.config.cause_wait_micros);
    }

    fn gone_name(&self, worker: WorkerId) -> Option<String> {
        self.gone.iter().rev().find(|gone| gone.id == worker).map(|gone| gone.name.clone())
    }

    /// A worker is gone: its runs are tried elsewhere, and what only it held is made again as far
    /// as somebody needs it. An unknown worker is gone already.
    pub fn remove_worker(&mut self, now: Time, w: WorkerId, cause: DeathCause) {
        self.now = now;
        if self.workers.get(w).is_none() {
            return;
        }
        let runs = self.workers.get_mut(w).map(|w| std::mem::take(&mut w.runs)).unwrap_or_default();
        let mut ended = Vec::with_capacity(runs.len());
        for slot in runs {
            let Some((id, _)) = self.runs.at(slot) else { continue };
            if let Some(run) = self.runs.remove(id) {
                self.count_out(&run);
                ended.push(run);
            }
        }
        let held = self.workers.get_mut(w).map(|w| w.held.take_entries()).unwrap_or_default();
        for task in held {
            if self.holds(w, task) {
                self.note_lost_put(task, w);
                self.remove_holder(task, w);
            }
        }
        self.forget_caches_of(w);
        let Some(worker) = self.workers.remove(w) else { return };
        for (task, copy) in &worker.incoming {
            self.end_copying(*task, w);
            if let Some(from) = self.workers.get_mut(copy.from) {
                from.to_move.push(*task);
            }
        }
        self.interned.withdraw(&worker.description.resources);
        for class in worker.capable.iter() {
            self.interned.classes[class as usize].lose_worker(&self.workers);
        }
        self.counters.workers -= 1;
        self.counters.workers_removed += 1;
        if self.gone.len() == MAX_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone {
            id: w,
            name: worker.description.name,
            instance: worker.description.instance,
            tasks: ended.iter().filter(|run| !run.abandoned).map(|run| run.task).collect(),
        });
        for run in &ended {
            if !run.abandoned {
                let micros = if run.started { now.micros_since(run.since) } else { 0 };
                self.died(run, cause.clone(), micros);
            }
        }
        self.drains_moved = true;
        self.replace_put_targets(w);
        self.settle();
        for run in &ended {
            self.drop_class_if_unused(run.class);
        }
        self.demand_moved();
    }

    /// Someone outside knows that a member died, and why. A member that is still connected is
    /// removed; of one that is gone the cause is amended. False: no such member is known.
    pub fn lost(&mut self, now: Time, m: &MemberRef, cause: DeathCause) -> bool {
        self.now = now;
        let connected = self.workers.named(&m.name).filter(|id| {
            self.workers.get(*id).is_some_and(|worker| {
                m.instance.as_ref().is_none_or(|instance| *instance == worker.description.instance)
            })
        });
        if let Some(id) = connected {
            self.remove_worker(now, id, cause);
            return true;
        }
        let named = |gone: &&Gone| {
            gone.name == m.name && m.instance.as_ref().is_none_or(|i| *i == gone.instance)
        };
        let Some(gone) = self.gone.iter().rev().find(named) else { return false };
        let (id, tasks) = (gone.id, gone.tasks.clone());
        for task in tasks {
            self.amend(task, id, &cause);
        }
        self.settle();
        true
    }

    fn amend(&mut self, task: TaskId, worker: WorkerId, better: &DeathCause) {
        let Some(history) = self.history.get_mut(&task) else { return };
        for (record, on) in &mut history.attempts {
            if *on == worker
                && let AttemptEnd::Died(cause) = &mut record.end
                && cause.is_provisional()
            {
                *cause = better.clone();
            }
        }
        let waits = history.awaits_cause;
        if waits && self.specs.cell(task).is_some_and(|cell| cell.state == TaskState::Delayed) {
            self.verdict(task, false);
        }
    }
}
