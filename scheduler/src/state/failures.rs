//! Tasks that end without outputs, and those that fail for their sake.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use dasklet_core::{ErrorClass, SessionId, SpecId, TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    AttemptEnd, AttemptRecord, Failure, State, TaskState,
    members::{Cell, HISTORY, NOWHERE},
    spec::{EdgeMembers, Part},
};

/// Why members of a description failed: one entry for those that stand side by side and failed for
/// the same reason.
#[derive(Debug, Default)]
pub(super) struct SpecFailures {
    /// Most often the only one.
    first: Option<Failed>,
    /// By the first member.
    more: BTreeMap<u32, Failed>,
}

#[derive(Debug)]
struct Failed {
    start: u32,
    end: u32,
    failure: Arc<Failure>,
}

impl Failed {
    fn grows(&mut self, start: u32, end: u32, failure: &Arc<Failure>) -> bool {
        let grows = self.end == start && Arc::ptr_eq(&self.failure, failure);
        if grows {
            self.end = end;
        }
        grows
    }
}

impl SpecFailures {
    /// These members failed, which happens to each once.
    fn note(&mut self, start: u32, end: u32, failure: &Arc<Failure>) {
        let failed = Failed { start, end, failure: failure.clone() };
        match &mut self.first {
            None => self.first = Some(failed),
            Some(first) if first.grows(start, end, failure) => {}
            Some(_) => {
                let before = self.more.range_mut(..start).next_back();
                if !before.is_some_and(|(_, before)| before.grows(start, end, failure)) {
                    self.more.insert(start, failed);
                }
            }
        }
    }

    fn get(&self, index: u32) -> Option<&Arc<Failure>> {
        let before = self.more.range(..=index).next_back().map(|(_, failed)| failed);
        let mut both = self.first.iter().chain(before);
        let found = both.find(|failed| (failed.start..failed.end).contains(&index));
        found.map(|failed| &failed.failure)
    }

    #[cfg(test)]
    pub fn entries(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }
}

impl Failure {
    /// Of what its client cancelled.
    pub(super) fn cancelled() -> Self {
        Self {
            class: ErrorClass::Cancelled,
            message: "it was cancelled by its client".to_owned(),
            origin: None,
            attempts: Vec::new(),
        }
    }
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
    /// The verdict waits for a better known cause.
    pub awaits_cause: bool,
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
        let failure = Failure { class, message, origin: None, attempts: Vec::new() };
        self.failing.push((Part::of(task), Arc::new(failure)));
    }

    /// Carries out the failures that are due; answers whether there were some.
    pub(super) fn settle_failing(&mut self) -> bool {
        let Some((part, failure)) = self.failing.pop() else { return false };
        self.fail_part(part, &failure);
        true
    }

    /// All unfinished members of a part fail for the same reason.
    fn fail_part(&mut self, part: Part, failure: &Arc<Failure>) {
        let id = part.spec;
        let Some(spec) = self.specs.get(id) else { return };
        if spec.pending == 0 {
            return;
        }
        let cancelled = failure.class == ErrorClass::Cancelled;
        let state = if cancelled { TaskState::Cancelled } else { TaskState::Failed };
        let end = part.end.min(spec.len());
        let mut failed: Vec<Range<u32>> = Vec::new();
        let mut index = part.start;
        while index < end {
            let Some(spec) = self.specs.get_mut(id) else { return };
            let start = index;
            let array = spec.array_mut().map(|array| &mut array.members);
            match array.and_then(|members| members.same(index).map(|same| (members, same))) {
                Some((_, (next, cell))) if !cell.state.is_pending() => {
                    index = next;
                    continue;
                }
                Some((members, (next, cell))) if members.same_within(index, end).is_some() => {
                    members.set_same(index, Cell { state, ..cell });
                    self.failures.entry(id).or_default().note(index, next, failure);
                    self.count(id, cell.state, state, next - index);
                    index = next;
                }
                _ => {
                    index += 1;
                    if !spec.cell(start).state.is_pending() {
                        continue;
                    }
                    self.fail_one(TaskId::new(id, start), state, failure);
                }
            }
            match failed.last_mut() {
                Some(last) if last.end == start => last.end = index,
                _ => failed.push(start..index),
            }
        }
        let Some(first) = failed.first() else { return };
        // One look is enough to find out whether all is over.
        self.checks.push(Part::of(TaskId::new(id, first.start)));
        for run in &failed {
            self.tell_ends(id, run.start, run.end);
            self.check_own_sources(Part { spec: id, start: run.start, end: run.end });
        }
        self.fail_dependents(id, &failed, failure);
    }

    /// Ends one member, which may run and may have been tried before.
    fn fail_one(&mut self, task: TaskId, state: TaskState, failure: &Arc<Failure>) {
        let tried = self.history.get(&task).filter(|_| failure.origin.is_none());
        let own = tried.map(|history| {
            let attempts = history.attempts.iter().map(|(record, _)| record.clone()).collect();
            Arc::new(Failure { attempts, ..Failure::clone(failure) })
        });
        let failures = self.failures.entry(task.spec).or_default();
        failures.note(task.index, task.index + 1, own.as_ref().unwrap_or(failure));
        self.abandon_run(task);
        self.update(task, |cell| {
            cell.state = state;
            cell.at = NOWHERE;
        });
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

    /// What needs members that failed fails with them.
    fn fail_dependents(&mut self, id: SpecId, failed: &[Range<u32>], failure: &Arc<Failure>) {
        let (Some(spec), Some(first)) = (self.specs.get(id), failed.first()) else { return };
        let mut parts: Vec<Part> = Vec::new();
        if spec.active > 0 {
            parts.extend(spec.consumers.iter().map(|consumer| Part::all(*consumer)));
        }
        if let Some(array) = spec.array() {
            let one = (failed.len() == 1 && first.len() == 1).then_some(first.start);
            let readers = match one {
                Some(member) => array.by_member.get(&member).into_iter().collect::<Vec<_>>(),
                None => {
                    let has_failed = |member: &u32| {
                        let after = failed.partition_point(|run| run.start <= *member);
                        after > 0 && failed[after - 1].contains(member)
                    };
                    let all = array.by_member.iter();
                    all.filter(|(member, _)| has_failed(member)).map(|(_, found)| found).collect()
                }
            };
            parts.extend(readers.iter().flat_map(|found| &found.specs).copied().map(Part::all));
            for consumer in &array.same_index {
                let part =
                    |run: &Range<u32>| Part { spec: *consumer, start: run.start, end: run.end };
                parts.extend(failed.iter().map(part));
            }
        }
        if parts.is_empty() {
            return;
        }
        let task = TaskId::new(id, first.start);
        let failure = self.failure_of(task).unwrap_or_else(|| failure.clone());
        let failure = self.for_dependents(task, &failure);
        self.failing.extend(parts.into_iter().map(|part| (part, failure.clone())));
    }

    /// Members ended: what only they read is perhaps not needed any more.
    pub(super) fn check_own_sources(&mut self, part: Part) {
        let Some(spec) = self.specs.get(part.spec) else { return };
        if !spec.array().is_some_and(|array| array.reads_same_index) {
            return;
        }
        for edge in &spec.inputs {
            if edge.members == EdgeMembers::SameIndex {
                self.checks.push(Part { spec: edge.source, ..part });
            }
        }
    }

    pub(super) fn failure_of(&self, task: TaskId) -> Option<Arc<Failure>> {
        self.failures.get(&task.spec)?.get(task.index).cloned()
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
