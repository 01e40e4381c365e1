//! Values that clients put on workers.

use dasklet_core::{ErrorClass, Key, SessionId, SpecId, TaskId, WorkerId};

use super::{
    Action, State, SubmitError, TaskOptions, TaskState, Time, ToSession, ToWorker,
    members::{Cell, WANTED},
    spec::{NOBODY, Spec, Tasks},
};

/// Most copies of one value.
const MAX_COPIES: u32 = 16;

/// A value on its way.
#[derive(Debug)]
pub(super) struct Put {
    copies: u32,
    /// Workers that expect it; empty: no worker is there to take it.
    targets: Vec<WorkerId>,
}

impl State {
    /// A client puts a value: it is told where to write it, by an action. Takes the session's
    /// next number.
    ///
    /// # Errors
    /// As for a submission.
    pub fn put(
        &mut self,
        now: Time,
        s: SessionId,
        local: u64,
        key: Key,
        _nbytes: u64,
        copies: u32,
    ) -> Result<SpecId, SubmitError> {
        self.now = now;
        let job = self.check_room(s, local, 1, 1)?;
        let job = match job {
            Some(job) => job,
            None => self.open_job(now, s, u32::MAX, "values", 1.0)?,
        };
        self.check_key(&key)?;
        let (options, queue) = self.queue_for(job, &TaskOptions::default());
        let id = self.add_spec(Spec {
            key,
            body: Box::default(),
            inputs: Box::default(),
            consumers: Default::default(),
            tasks: Tasks::One(Cell::new(TaskState::Waiting, true)),
            local,
            job,
            older: NOBODY,
            newer: NOBODY,
            options,
            queue,
            outputs: 1,
            order: 0,
            generation: self.generation,
            pending: 1,
            wanted: 1,
            missing: 0,
            active: 0,
            retained: 0,
            is_put: true,
            varying: false,
            expecting: false,
            dirty: false,
        });
        self.let_go(options, queue);
        self.update(TaskId::new(id, 0), |cell| cell.state = TaskState::Delayed);
        self.puts.insert(id, Put { copies: copies.clamp(1, MAX_COPIES), targets: Vec::new() });
        self.target_put(id);
        Ok(id)
    }

    /// Chooses workers for a put value and tells them and the client.
    pub(super) fn target_put(&mut self, id: SpecId) {
        let task = TaskId::new(id, 0);
        let waits = self.specs.cell(task).is_some_and(|cell| cell.state == TaskState::Delayed);
        let (Some(put), Some(spec)) = (self.puts.get(&id), self.specs.get(id)) else { return };
        if !waits {
            return;
        }
        let Some(session) = self.jobs.get(&spec.job).map(|job| job.session) else { return };
        let serving: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.serves()).map(|(id, _)| id).collect();
        let first = if serving.is_empty() { 0 } else { id.index() % serving.len() };
        let targets: Vec<WorkerId> = serving
            .iter()
            .cycle()
            .skip(first)
            .take(serving.len().min(put.copies as usize))
            .copied()
            .collect();
        for worker in &targets {
            self.tell(*worker, ToWorker::ExpectPut(task));
        }
        if let Some(put) = self.puts.get_mut(&id) {
            put.targets = targets;
        }
        if let Some(news) = self.put_target(id) {
            self.actions.push(Action::Session(session, news));
        }
    }

    /// Where a value that is still to come may be written, if there is a place for it.
    #[must_use]
    pub fn put_target(&self, id: SpecId) -> Option<ToSession> {
        let (put, spec) = (self.puts.get(&id)?, self.specs.get(id)?);
        let workers = put.targets.clone();
        let news = ToSession::PutTarget { local: spec.local, task: TaskId::new(id, 0), workers };
        (!put.targets.is_empty()).then_some(news)
    }

    /// Workers came: values that had none find theirs.
    pub(super) fn place_waiting_puts(&mut self) {
        let waiting: Vec<SpecId> =
            self.puts.iter().filter(|(_, put)| put.targets.is_empty()).map(|(id, _)| *id).collect();
        for id in waiting {
            self.target_put(id);
        }
    }

    /// A worker went that was to take values.
    pub(super) fn replace_put_targets(&mut self, w: WorkerId) {
        let moved: Vec<SpecId> = self
            .puts
            .iter()
            .filter(|(_, put)| put.targets.contains(&w))
            .map(|(id, _)| *id)
            .collect();
        for id in moved {
            let arrived =
                self.specs.cell(TaskId::new(id, 0)).is_some_and(|c| c.state != TaskState::Delayed);
            if arrived {
                self.puts.remove(&id);
            } else {
                self.target_put(id);
            }
        }
    }

    /// Remembers with whom a put value goes, for the message.
    pub(super) fn note_lost_put(&mut self, task: TaskId, w: WorkerId) {
        let is_put = self.specs.get(task.spec).is_some_and(|spec| spec.is_put);
        if is_put
            && self.holders(task).len() == 1
            && let Some(worker) = self.workers.get(w)
        {
            self.lost_puts.insert(task, worker.description.name.clone());
        }
    }

    /// A put value did not come, or did not come back, in time.
    pub(super) fn put_grace_over(&mut self, task: TaskId) {
        let label = self.label(task);
        let message = if self.puts.contains_key(&task.spec) {
            if self.specs.cell(task).is_some_and(|cell| cell.has(WANTED)) {
                return;
            }
            format!(
                "the put value {label} was given up by its client before it was written: keep its handle until it is stored"
            )
        } else {
            let on = self.lost_puts.remove(&task);
            let on = on.map_or_else(String::new, |name| format!(" '{name}'"));
            format!(
                "the put value {label} was lost with worker{on}, which held its only copy: put it again, with 2 copies if it is to outlive a worker"
            )
        };
        self.fail(task, ErrorClass::Fatal, message);
    }
}
