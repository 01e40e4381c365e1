//! Why a task stands as it stands, in words; and lists of tasks.

use dasklet_core::{Key, SpecId, TaskId, WorkerId};

use super::{
    Explanation, State, TaskFilter, TaskState, TaskSummary, WorkerExplanation,
    failures::describe,
    spec::{EdgeMembers, Spec},
    workers::Worker,
};

/// Inputs and workers that an explanation names.
const MAX_NAMED: usize = 100;
/// Tasks looked at for one page.
const MAX_SCANNED: usize = 200_000;

impl State {
    /// Finds a task by `spec.index`, by key, or by `key[index]`, and says why it does not run, or
    /// how it ended.
    #[must_use]
    pub fn explain(&self, key_or_id: &str) -> Option<Explanation> {
        let task = self.find_task(key_or_id)?;
        let spec = self.specs.get(task.spec)?;
        let summary = self.summary(task, spec);
        let mut waits_for = Vec::new();
        let mut reasons = Vec::new();
        let mut workers = Vec::new();
        match summary.state {
            TaskState::Waiting => {
                waits_for = self.missing_inputs(task, spec);
                reasons.push("it waits for other tasks".to_owned());
            }
            TaskState::Ready => {
                workers = self.explain_workers(task, spec);
                reasons.push(self.why_not_placed(spec, &workers));
            }
            TaskState::Assigned => reasons.push(self.describe_run(task)),
            TaskState::Delayed if spec.is_put => {
                reasons
                    .push("its value has not come from its client, or from its worker".to_owned());
            }
            TaskState::Delayed => reasons.push(
                "it waits before its next attempt, or for the cause of the last one's death"
                    .to_owned(),
            ),
            TaskState::Done => reasons.push(format!("it is done and held by {}", summary.worker)),
            TaskState::Released => {
                reasons
                    .push("it is done; nobody needs its outputs, so they were dropped".to_owned());
            }
            TaskState::Failed | TaskState::Cancelled => {
                let failure = self.failure_of(task);
                reasons.push(failure.map_or_else(
                    || "nobody wanted it any more".to_owned(),
                    |failure| failure.message.clone(),
                ));
            }
        }
        let mut attempts: Vec<String> = self
            .history
            .get(&task)
            .map(|history| history.attempts.iter().map(|(record, _)| describe(record)).collect())
            .unwrap_or_default();
        if let Some(failure) = self.failure_of(task) {
            attempts = failure.attempts.iter().map(describe).collect();
        }
        Some(Explanation { task: summary, reasons, waits_for, workers, attempts })
    }

    fn find_task(&self, name: &str) -> Option<TaskId> {
        let by_key = |key: &str| {
            let key = Key::from(key);
            let id = self.keys.get(&self.hash_key(&key))?;
            self.specs.get(*id).filter(|spec| spec.key == key).map(|_| *id)
        };
        let in_range = |task: TaskId| self.specs.cell(task).map(|_| task);
        if let Some(id) = by_key(name) {
            return in_range(TaskId::new(id, 0));
        }
        if let Some((key, index)) = name.strip_suffix(']').and_then(|name| name.rsplit_once('['))
            && let (Some(id), Ok(index)) = (by_key(key), index.parse::<u32>())
            && let Some(spec) = self.specs.get(id)
        {
            return in_range(TaskId::new(id, index.checked_sub(spec.shown_index(0))?));
        }
        let (spec, index) = name.split_once('.').unwrap_or((name, "0"));
        in_range(TaskId::new(SpecId(spec.parse().ok()?), index.parse().ok()?))
    }

    fn missing_inputs(&self, task: TaskId, spec: &Spec) -> Vec<TaskSummary> {
        let mut missing = Vec::new();
        for edge in &spec.inputs {
            let Some(source) = self.specs.get(edge.source) else { continue };
            let range = match edge.members {
                EdgeMembers::Whole => 0..1,
                EdgeMembers::One(member) => member..member + 1,
                EdgeMembers::SameIndex => task.index..task.index + 1,
                EdgeMembers::All => 0..source.len(),
            };
            for index in range {
                if missing.len() == MAX_NAMED {
                    return missing;
                }
                if source.cell(index).state != TaskState::Done {
                    missing.push(self.summary(TaskId::new(edge.source, index), source));
                }
            }
        }
        missing
    }

    fn explain_workers(&self, task: TaskId, spec: &Spec) -> Vec<WorkerExplanation> {
        let class = self.queues.get(spec.queue).map_or(0, |queue| queue.class);
        self.workers
            .iter()
            .take(MAX_NAMED)
            .map(|(id, worker)| {
                let blocked_by = self.blocked_by(task, class, id, worker);
                let name = worker.description.name.clone();
                WorkerExplanation { worker: name, fits: blocked_by.is_empty(), blocked_by }
            })
            .collect()
    }

    fn blocked_by(&self, task: TaskId, class: u32, id: WorkerId, worker: &Worker) -> Vec<String> {
        let class = &self.interned.classes[class as usize];
        let mut blocked = Vec::new();
        let description = &worker.description;
        if !class.allows(&description.name, &description.group) {
            blocked.push(format!("the task is restricted to {}", class.workers.join(", ")));
        }
        if !worker.serves() {
            blocked.push(format!("the worker is {:?}", worker.state()).to_lowercase());
        }
        for ((resource, amount), (name, _)) in class.needs.iter().zip(class.resources.iter()) {
            let amount_of = |amounts: &[u64]| amounts.get(*resource as usize).copied().unwrap_or(0);
            let (free, offered) = (amount_of(&worker.free), amount_of(&worker.capacity));
            let units = |thousandths: u64| thousandths as f64 / 1000.0;
            if offered < *amount {
                blocked.push(format!("it offers {name} {} of {}", units(offered), units(*amount)));
            } else if free < *amount {
                let (free, offered) = (units(free), units(offered));
                blocked
                    .push(format!("{name}: {free} of {offered} free, {} needed", units(*amount)));
            }
        }
        if self.history.get(&task).is_some_and(|history| history.avoid.contains(&id)) {
            blocked.push("it could not run the task before".to_owned());
        }
        blocked
    }

    fn why_not_placed(&self, spec: &Spec, workers: &[WorkerExplanation]) -> String {
        let class = self.queues.get(spec.queue).map_or(0, |queue| queue.class);
        let class = &self.interned.classes[class as usize];
        if class.capable == 0 {
            return self.why_blocked(class);
        }
        if workers.iter().any(|worker| worker.fits) {
            return "it is about to be placed".to_owned();
        }
        "every worker that could run it is busy, or takes nothing new".to_owned()
    }

    fn describe_run(&self, task: TaskId) -> String {
        let run = self.specs.cell(task).and_then(|cell| self.runs.at(cell.at));
        let Some((_, run)) = run else { return "it was handed to a worker".to_owned() };
        let worker = self.worker_name(run.worker).unwrap_or_default();
        let since = self.now.micros_since(run.since) as f64 / 1e6;
        if run.started {
            format!("attempt {} has been running on {worker} for {since:.1} s", run.attempt)
        } else {
            format!("attempt {} was handed to {worker} {since:.1} s ago", run.attempt)
        }
    }

    fn summary(&self, task: TaskId, spec: &Spec) -> TaskSummary {
        let cell = spec.cell(task.index);
        let worker = match cell.state {
            TaskState::Assigned => self.runs.at(cell.at).map(|(_, run)| run.worker),
            TaskState::Done => Some(WorkerId(cell.at)),
            _ => None,
        };
        let key = match (spec.key.is_empty(), spec.is_array()) {
            (true, _) => String::new(),
            (false, true) => format!("{}[{}]", spec.key, spec.shown_index(task.index)),
            (false, false) => spec.key.to_string(),
        };
        let attempts = self.history.get(&task).map_or(0, |history| history.attempts.len() as u32)
            + u32::from(cell.state == TaskState::Assigned);
        TaskSummary {
            id: task.to_string(),
            task: task.to_bits(),
            key,
            job: self.jobs.get(&spec.job).map(|job| job.name.clone()).unwrap_or_default(),
            state: cell.state,
            worker: worker.and_then(|w| self.worker_name(w)).unwrap_or_default().to_owned(),
            nbytes: cell.nbytes,
            attempts,
        }
    }

    /// Tasks in the order of their ids, from after `after` on, at most `limit`, and after which
    /// task the next page begins if there may be more. A page may be short, or empty, where few
    /// tasks match: what is looked at for one page is bounded.
    #[must_use]
    pub fn tasks_page(
        &self,
        filter: TaskFilter,
        after: Option<TaskId>,
        limit: usize,
    ) -> (Vec<TaskSummary>, Option<TaskId>) {
        let mut page = Vec::new();
        let first = after.map_or(SpecId(0), |task| task.spec);
        let mut scanned = 0;
        let mut last = after;
        for (id, spec) in self.specs.from(first) {
            if filter.job.is_some_and(|job| job != spec.job) {
                continue;
            }
            let start = match after {
                Some(task) if task.spec == id => task.index.saturating_add(1),
                _ => 0,
            };
            for index in start..spec.len() {
                scanned += 1;
                if page.len() >= limit || scanned > MAX_SCANNED {
                    return (page, last);
                }
                last = Some(TaskId::new(id, index));
                if filter.state.is_none_or(|state| state == spec.cell(index).state) {
                    page.push(self.summary(TaskId::new(id, index), spec));
                }
            }
        }
        (page, None)
    }
}
