//! Tasks that end without outputs, and those that fail for their sake.

use std::sync::Arc;

use dasklet_core::{ErrorClass, SessionId, SpecId, TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    AttemptEnd, AttemptRecord, Failure, FastMap, State, TaskState, members::HISTORY,
    spec::EdgeMembers,
};

/// What is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Task(TaskId),
    /// All unfinished members.
    Spec(SpecId),
}

/// Why the members of a description failed.
#[derive(Debug, Default)]
pub(super) struct SpecFailures {
    /// Of all that are not named below.
    whole: Option<Arc<Failure>>,
    members: FastMap<u32, Arc<Failure>>,
}

/// What went wrong with a task that is not over.
#[derive(Debug, Default)]
pub(super) struct History {
    pub attempts: Vec<(AttemptRecord, WorkerId)>,
    /// Attempts that used up a retry.
    pub retries: u32,
    /// Workers that could not run it.
    pub avoid: SmallVec<[WorkerId; 2]>,
    pub faults: u32,
    pub inputs_lost: u32,
    /// The verdict waits until then for a better known cause.
    pub verdict_at: Option<super::Time>,
}

/// Records of attempts that are kept for one task, the newest of them.
const MAX_RECORDS: usize = 64;

impl State {
    pub(super) fn history_mut(&mut self, task: TaskId) -> &mut History {
        self.set_flag(task, HISTORY);
        self.history.entry(task).or_default()
    }

    pub(super) fn record(&mut self, task: TaskId, record: AttemptRecord, worker: WorkerId) {
        let history = self.history_mut(task);
        if history.attempts.len() == MAX_RECORDS {
            history.attempts.remove(0);
        }
        history.attempts.push((record, worker));
    }

    /// The task by the name that its user knows.
    pub(super) fn label(&self, task: TaskId) -> String {
        let Some(spec) = self.specs.get(task.spec) else { return format!("task {task}") };
        match (spec.key.is_empty(), spec.is_array()) {
            (false, false) => format!("'{}'", spec.key),
            (false, true) => format!("'{}[{}]'", spec.key, spec.shown_index(task.index)),
            (true, false) => format!("number {}", spec.local),
            (true, true) => format!("number {} [{}]", spec.local, spec.shown_index(task.index)),
        }
    }

    /// Fails a task of its own account.
    pub(super) fn fail(&mut self, task: TaskId, class: ErrorClass, message: String) {
        let attempts = self
            .history
            .get(&task)
            .map(|history| history.attempts.iter().map(|(record, _)| record.clone()).collect())
            .unwrap_or_default();
        let failure = Failure { class, message, origin: None, attempts };
        self.failing.push((Failing::Task(task), Arc::new(failure)));
    }

    /// Carries out the failures that are due; answers whether there were some.
    pub(super) fn settle_failing(&mut self) -> bool {
        let Some((failing, failure)) = self.failing.pop() else { return false };
        match failing {
            Failing::Task(task) => {
                if self.specs.cell(task).is_some_and(|cell| cell.state.is_pending()) {
                    let failures = self.failures.entry(task.spec).or_default();
                    failures.members.insert(task.index, failure.clone());
                    self.end_badly(task, failure.class);
                    let next = self.for_dependents(task, &failure);
                    self.fail_dependents(task, &next);
                }
            }
            Failing::Spec(id) => self.fail_spec(id, &failure),
        }
        true
    }

    /// All unfinished members of a description fail for the same reason.
    fn fail_spec(&mut self, id: SpecId, failure: &Arc<Failure>) {
        let Some(spec) = self.specs.get(id) else { return };
        let len = spec.len();
        if spec.pending == 0 {
            return;
        }
        let whole = spec.pending == len;
        let failures = self.failures.entry(id).or_default();
        if whole && failures.whole.is_none() {
            failures.whole = Some(failure.clone());
        }
        let next = self.for_dependents(TaskId::new(id, 0), failure);
        for index in 0..len {
            let task = TaskId::new(id, index);
            let pending = self.specs.cell(task).is_some_and(|cell| cell.state.is_pending());
            if !pending {
                continue;
            }
            if !whole && let Some(failures) = self.failures.get_mut(&id) {
                failures.members.insert(index, failure.clone());
            }
            self.end_badly(task, failure.class);
            if !whole {
                self.fail_dependents(task, &next);
            }
        }
        if whole {
            self.fail_all_dependents(id, &next);
        }
    }

    fn end_badly(&mut self, task: TaskId, class: ErrorClass) {
        self.abandon_run(task);
        let state =
            if class == ErrorClass::Cancelled { TaskState::Cancelled } else { TaskState::Failed };
        self.update(task, |cell| {
            cell.state = state;
            cell.at = super::members::NOWHERE;
        });
        self.tell_end(task);
        self.check_own_sources(task);
        self.checks.push(task);
    }

    /// The failure as those see it that needed this task.
    fn for_dependents(&self, task: TaskId, failure: &Arc<Failure>) -> Arc<Failure> {
        if failure.origin.is_some() {
            return failure.clone();
        }
        let origin = self.label(task);
        let message = match failure.class {
            ErrorClass::Cancelled => format!("it needs task {origin}, which was cancelled"),
            _ => format!("it needs task {origin}, which failed: {}", failure.message),
        };
        Arc::new(Failure {
            class: failure.class,
            message,
            origin: Some(origin.trim_matches('\'').to_owned()),
            attempts: failure.attempts.clone(),
        })
    }

    /// The failure of a task that ended without outputs, as a new consumer sees it.
    pub(super) fn failure_for_dependents(&self, task: TaskId) -> Arc<Failure> {
        let failure = self.failure_of(task).unwrap_or_else(|| {
            Arc::new(Failure {
                class: ErrorClass::Cancelled,
                message: "nobody wanted it any more".to_owned(),
                origin: None,
                attempts: Vec::new(),
            })
        });
        self.for_dependents(task, &failure)
    }

    fn fail_dependents(&mut self, task: TaskId, failure: &Arc<Failure>) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if spec.active > 0 {
            for consumer in spec.consumers.iter().copied() {
                self.failing.push((Failing::Spec(consumer), failure.clone()));
            }
        }
        for consumer in self.member_consumers(task) {
            self.failing.push((Failing::Spec(consumer), failure.clone()));
        }
        for consumer in self.same_index_consumers(task) {
            let consumer = TaskId::new(consumer, task.index);
            self.failing.push((Failing::Task(consumer), failure.clone()));
        }
    }

    fn fail_all_dependents(&mut self, id: SpecId, failure: &Arc<Failure>) {
        let Some(spec) = self.specs.get(id) else { return };
        let mut consumers = spec.consumers.to_vec();
        let mut same_index = Vec::new();
        if let Some(array) = spec.array() {
            consumers.extend(array.by_member.values().flat_map(|c| c.specs.iter().copied()));
            same_index = array.same_index.to_vec();
        }
        let len = spec.len();
        for consumer in consumers {
            self.failing.push((Failing::Spec(consumer), failure.clone()));
        }
        for consumer in same_index {
            let Some(spec) = self.specs.get(consumer) else { continue };
            if spec.len() == len {
                self.failing.push((Failing::Spec(consumer), failure.clone()));
                continue;
            }
            for index in 0..spec.len().min(len) {
                let task = TaskId::new(consumer, index);
                self.failing.push((Failing::Task(task), failure.clone()));
            }
        }
    }

    /// A member ended: what only it read is perhaps not needed any more.
    pub(super) fn check_own_sources(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if !spec.array().is_some_and(|array| array.reads_same_index) {
            return;
        }
        for edge in &spec.inputs {
            if edge.members == EdgeMembers::SameIndex {
                self.checks.push(TaskId::new(edge.source, task.index));
            }
        }
    }

    pub(super) fn failure_of(&self, task: TaskId) -> Option<Arc<Failure>> {
        let failures = self.failures.get(&task.spec)?;
        failures.members.get(&task.index).or(failures.whole.as_ref()).cloned()
    }

    /// Why a task of a session ended without outputs.
    #[must_use]
    pub fn failure(&self, s: SessionId, local: u64, index: u32) -> Option<Failure> {
        let spec = self.sessions.get(&s)?.locals.get(local)?;
        let task = TaskId::new(spec, index);
        let cell = self.specs.cell(task)?;
        if !matches!(cell.state, TaskState::Failed | TaskState::Cancelled) {
            return None;
        }
        self.failure_of(task).map(|failure| Failure::clone(&failure))
    }
}

/// `worker-3 (started): OOMKilled (over its memory limit)`.
pub(super) fn describe(record: &AttemptRecord) -> String {
    let what = match &record.end {
        AttemptEnd::Died(cause) => format!("died: {cause}"),
        AttemptEnd::Error(_, message) => format!("failed: {message}"),
    };
    let started = if record.started { "" } else { " before it was known to start" };
    format!("attempt {} on {}{started} {what}", record.number, record.worker)
}
