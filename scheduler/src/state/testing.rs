//! Builders for tests, and a state that keeps its actions.

use dasklet_core::{
    DeathCause, ErrorClass, Key, Resources, RunId, SessionId, SpecId, TaskId, WorkerId,
};

use super::{
    Action, Config, Dependency, FailedRun, FinishedRun, LocalRange, LostInput, Members, Output,
    Source, State, SubmittedTask, TaskOptions, Time, ToSession, ToWorker, WorkerDescription,
};

/// One description.
pub(super) struct TaskBuilder(pub SubmittedTask, pub TaskOptions);

pub(super) fn task() -> TaskBuilder {
    let task = SubmittedTask {
        key: Key::from(""),
        body: Box::default(),
        dependencies: Vec::new(),
        options: 0,
        array: None,
        first_index: 0,
        outputs: 1,
        order: 0,
        wanted: true,
    };
    TaskBuilder(task, TaskOptions::default())
}

impl TaskBuilder {
    pub fn key(mut self, key: &str) -> Self {
        self.0.key = Key::from(key);
        self
    }

    pub fn array(mut self, len: u32) -> Self {
        self.0.array = Some(len);
        self
    }

    pub fn first_index(mut self, index: u32) -> Self {
        self.0.first_index = index;
        self
    }

    pub fn outputs(mut self, outputs: u32) -> Self {
        self.0.outputs = outputs;
        self
    }

    pub fn unwanted(mut self) -> Self {
        self.0.wanted = false;
        self
    }

    pub fn reads(self, local: u64) -> Self {
        self.reads_members(local, Members::All)
    }

    pub fn reads_members(self, local: u64, members: Members) -> Self {
        self.depends(Source::Local(local), members, Output::Fixed(0))
    }

    pub fn depends(mut self, source: Source, members: Members, output: Output) -> Self {
        self.0.dependencies.push(Dependency { source, members, output });
        self
    }

    pub fn options(mut self, change: impl FnOnce(&mut TaskOptions)) -> Self {
        change(&mut self.1);
        self
    }
}

/// One worker.
pub(super) fn worker(name: &str, slots: u64) -> WorkerDescription {
    WorkerDescription {
        name: name.to_owned(),
        instance: format!("{name}-1"),
        boot_nonce: "1".to_owned(),
        group: "default".to_owned(),
        data_address: format!("{name}:1"),
        resources: Resources::default().with("cpu", slots * 1000),
        leaving: false,
    }
}

/// A state, its clock, and the actions that were not looked at.
pub(super) struct TestState {
    pub state: State,
    pub now: Time,
    pub session: SessionId,
    pub next: u64,
    pub actions: Vec<Action>,
}

impl TestState {
    pub fn new() -> Self {
        let mut state = State::new(Config::default());
        let session = state.open_session(Time(0), "test").unwrap();
        state.open_job(Time(0), session, 0, "job", 1.0).unwrap();
        Self { state, now: Time(0), session, next: 0, actions: Vec::new() }
    }

    pub fn worker(&mut self, name: &str, slots: u64) -> WorkerId {
        let (id, _) = self.state.add_worker(self.now, worker(name, slots), Vec::new());
        self.schedule();
        id
    }

    pub fn try_submit(
        &mut self,
        tasks: Vec<TaskBuilder>,
    ) -> Result<Vec<SpecId>, super::SubmitError> {
        let count = tasks.len() as u64;
        let mut options = Vec::new();
        let mut submitted = Vec::new();
        for TaskBuilder(mut task, own) in tasks {
            task.options = options.len() as u32;
            options.push(own);
            submitted.push(task);
        }
        let ids = self.state.submit(self.now, self.session, 0, self.next, options, submitted)?;
        self.next += count;
        self.schedule();
        Ok(ids)
    }

    pub fn submit(&mut self, tasks: Vec<TaskBuilder>) -> Vec<SpecId> {
        self.try_submit(tasks).unwrap()
    }

    pub fn schedule(&mut self) {
        self.state.schedule(self.now);
        self.state.take_actions(&mut self.actions);
        self.state.check_invariants();
    }

    pub fn pass(&mut self, micros: u64) {
        self.now = self.now.after_micros(micros);
        self.state.fire_timers(self.now);
        self.schedule();
    }

    /// Takes the runs handed out since the last look, in order.
    pub fn assigned(&mut self) -> Vec<(WorkerId, RunId, TaskId)> {
        let mut runs = Vec::new();
        self.actions.retain(|action| match action {
            Action::Worker(worker, ToWorker::Assign(run)) => {
                runs.push((*worker, *run));
                false
            }
            _ => true,
        });
        runs.into_iter()
            .filter_map(|(worker, run)| {
                self.state.assignment(run).map(|view| (worker, run, view.task))
            })
            .collect()
    }

    pub fn finish(&mut self, worker: WorkerId, run: RunId, nbytes: u64) {
        let f = FinishedRun { nbytes: &[nbytes], inline: None, run_micros: 1000 };
        self.state.run_finished(self.now, worker, run, f);
        self.schedule();
    }

    pub fn start(&mut self, worker: WorkerId, run: RunId) {
        self.state.run_started(self.now, worker, run);
        self.schedule();
    }

    pub fn error(&mut self, worker: WorkerId, run: RunId, class: ErrorClass) {
        self.error_of(worker, run, class, Vec::new());
    }

    pub fn error_of(
        &mut self,
        worker: WorkerId,
        run: RunId,
        class: ErrorClass,
        lost_inputs: Vec<(TaskId, WorkerId)>,
    ) {
        let lost_inputs = lost_inputs
            .into_iter()
            .map(|(task, holder)| LostInput { task, holder, missing: true })
            .collect();
        let failed = FailedRun {
            class,
            message: "it broke".to_owned(),
            lost_inputs,
            cause: None,
            run_micros: 10,
        };
        self.state.run_failed(self.now, worker, run, failed);
        self.schedule();
    }

    pub fn lose(&mut self, worker: WorkerId, cause: DeathCause) {
        self.state.remove_worker(self.now, worker, cause);
        self.schedule();
    }

    /// Finishes all that is handed out until nothing is; answers the tasks in order.
    pub fn run_all(&mut self) -> Vec<TaskId> {
        let mut done = Vec::new();
        loop {
            let runs = self.assigned();
            if runs.is_empty() {
                return done;
            }
            for (worker, run, task) in runs {
                done.push(task);
                self.finish(worker, run, 8);
            }
        }
    }

    pub fn release(&mut self, local: u64) {
        let range = LocalRange { local, start: 0, end: 0, count: 1 };
        self.state.release(self.now, self.session, range);
        self.schedule();
    }

    pub fn cancel(&mut self, local: u64) {
        let range = LocalRange { local, start: 0, end: 0, count: 1 };
        self.state.cancel(self.now, self.session, range);
        self.schedule();
    }

    /// Takes what was told to the client.
    pub fn news(&mut self) -> Vec<ToSession> {
        let mut news = Vec::new();
        self.actions.retain(|action| match action {
            Action::Session(session, ToSession::Ended { local, start, end }) => {
                let described = self.state.described(*session, *local, local + 1);
                news.extend(described.flat_map(|(_, id, _)| self.state.ends(id, *start, *end)));
                false
            }
            Action::Session(_, told) => {
                news.push(told.clone());
                false
            }
            _ => true,
        });
        news
    }

    /// Takes what was told to workers, assignments apart.
    pub fn orders(&mut self) -> Vec<(WorkerId, ToWorker)> {
        let mut orders = Vec::new();
        self.actions.retain(|action| match action {
            Action::Worker(worker, order) if !matches!(order, ToWorker::Assign(_)) => {
                orders.push((*worker, order.clone()));
                false
            }
            _ => true,
        });
        orders
    }
}

pub(super) fn done(news: &[ToSession]) -> Vec<(u64, u32)> {
    news.iter()
        .filter_map(|news| match news {
            ToSession::Done { local, index, .. } => Some((*local, *index)),
            _ => None,
        })
        .collect()
}

pub(super) fn failed(news: &[ToSession]) -> Vec<(u64, u32)> {
    news.iter()
        .filter_map(|news| match news {
            ToSession::Failed { local, index } => Some((*local, *index)),
            _ => None,
        })
        .collect()
}
