//! Values that clients put on workers.

use dasklet_core::{Key, SessionId, SpecId, TaskId, WorkerId};

use super::{
    Action, State, SubmitError, TaskOptions, TaskState, Time, ToSession, ToWorker,
    members::Cell,
    spec::{Spec, Tasks},
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
        let Some(job) = self.jobs.get(&spec.job) else { return };
        let (local, session) = (spec.local, job.session);
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
        if !targets.is_empty() {
            let workers = targets.clone();
            let news = ToSession::PutTarget { local, task, workers };
            self.actions.push(Action::Session(session, news));
        }
        if let Some(put) = self.puts.get_mut(&id) {
            put.targets = targets;
        }
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
}
