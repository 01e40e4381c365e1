//! Clients' sessions and their jobs.

use std::collections::VecDeque;

use dasklet_core::{JobId, SessionId, SpecId, TaskId, WorkerId};

use super::{
    Action, FastMap, JobProgress, JobSummary, LocalRange, State, SubmitError, TaskState, Time,
    ToSession, ToWorker, timers::Timer,
};

/// Most numbers in one run of [`State::specs_of`].
const RUN: usize = 1 << 16;
/// Longest name of a session or a job, in bytes.
const MAX_NAME: usize = 1024;

/// Descriptions by the session's own numbers.
#[derive(Debug, Default)]
pub(super) struct Locals {
    /// Number of the first of `specs`; all before it are gone.
    first: u64,
    specs: VecDeque<Option<SpecId>>,
}

impl Locals {
    pub fn next(&self) -> u64 {
        self.first + self.specs.len() as u64
    }

    pub fn get(&self, local: u64) -> Option<SpecId> {
        let position = usize::try_from(local.checked_sub(self.first)?).ok()?;
        *self.specs.get(position)?
    }

    pub fn push(&mut self, spec: Option<SpecId>) {
        self.specs.push_back(spec);
        self.trim();
    }

    pub fn forget(&mut self, local: u64) {
        let Some(position) = local.checked_sub(self.first) else { return };
        if let Some(slot) = self.specs.get_mut(position as usize) {
            *slot = None;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while let Some(None) = self.specs.front() {
            self.specs.pop_front();
            self.first += 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = SpecId> + '_ {
        self.specs.iter().filter_map(|spec| *spec)
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Session {
    pub locals: Locals,
    pub jobs: FastMap<u32, JobId>,
    /// Since when its client is gone.
    pub disconnected: Option<Time>,
}

/// What tasks are queued, weighed and reported under.
#[derive(Debug)]
pub(super) struct Job {
    pub name: String,
    pub weight: f64,
    pub session: SessionId,
    /// Its queues, by class.
    pub queues: Vec<(u32, u32)>,
    /// Work handed out so far, in microseconds for a weight of one.
    pub served: f64,
    pub recomputed: u64,
    /// Descriptions that are not forgotten.
    pub specs: u64,
    /// Its session is gone: it goes with its last description.
    pub orphaned: bool,
    /// Nothing more will be submitted to it.
    pub closed: bool,
}

impl State {
    /// Opens a session for a new client.
    ///
    /// # Errors
    /// Too many sessions, or too long a name.
    pub fn open_session(&mut self, now: Time, name: &str) -> Result<SessionId, SubmitError> {
        self.now = now;
        check_name("session", name)?;
        if u64::from(self.counters.sessions) >= self.config.max_sessions {
            return Err(SubmitError::Limit(format!(
                "there are {} sessions, the most this scheduler takes: close some, or raise its limit of sessions",
                self.counters.sessions
            )));
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let session =
            Session { locals: Locals::default(), jobs: FastMap::default(), disconnected: None };
        self.sessions.insert(id, session);
        self.counters.sessions += 1;
        self.demand_moved();
        Ok(id)
    }

    /// The client is gone; the session waits for it for the grace period.
    pub fn session_disconnected(&mut self, now: Time, s: SessionId) {
        self.now = now;
        let grace = self.config.session_grace_micros;
        let Some(session) = self.sessions.get_mut(&s) else { return };
        if session.disconnected.is_none() {
            session.disconnected = Some(now);
            self.timers.add(now.after_micros(grace), Timer::SessionGrace(s));
        }
    }

    /// The client is back and knows no end of what is `pending`: it is told again of what ended.
    pub fn session_resumed(&mut self, now: Time, s: SessionId, pending: &[LocalRange]) {
        self.now = now;
        let Some(session) = self.sessions.get_mut(&s) else { return };
        session.disconnected = None;
        for range in pending {
            for spec in self.specs_in(s, *range) {
                let Some((start, end)) = self.members_in(spec, *range) else { continue };
                for index in start..end {
                    self.tell_end(TaskId::new(spec, index));
                }
            }
        }
    }

    /// What descriptions the numbers of these ranges became, as runs of numbers without gaps.
    #[must_use]
    pub fn specs_of(&self, s: SessionId, ranges: &[LocalRange]) -> Vec<(u64, Vec<u32>)> {
        let Some(session) = self.sessions.get(&s) else { return Vec::new() };
        let mut runs: Vec<(u64, Vec<u32>)> = Vec::new();
        for range in ranges {
            let end = range.local.saturating_add(range.count.max(1)).min(session.locals.next());
            for local in range.local..end {
                let Some(spec) = session.locals.get(local) else { continue };
                match runs.last_mut() {
                    Some((first, specs))
                        if *first + specs.len() as u64 == local && specs.len() < RUN =>
                    {
                        specs.push(spec.0);
                    }
                    _ => runs.push((local, vec![spec.0])),
                }
            }
        }
        runs
    }

    /// The end of a session: all its interest is dropped.
    pub fn close_session(&mut self, now: Time, s: SessionId) {
        self.now = now;
        let Some(session) = self.sessions.get(&s) else { return };
        let specs: Vec<SpecId> = session.locals.iter().collect();
        let jobs: Vec<JobId> = session.jobs.values().copied().collect();
        for spec in specs {
            self.unwant(spec, 0, u32::MAX);
        }
        self.settle();
        self.sessions.remove(&s);
        self.counters.sessions -= 1;
        for job in jobs {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.orphaned = true;
                job.closed = true;
            }
            self.drop_job_if_over(job);
        }
        self.demand_moved();
    }

    pub(super) fn session_grace_over(&mut self, s: SessionId) {
        let grace = self.config.session_grace_micros;
        let gone = self.sessions.get(&s).and_then(|session| session.disconnected);
        if gone.is_some_and(|since| self.now.micros_since(since) >= grace) {
            self.close_session(self.now, s);
        }
    }

    /// Opens job `number` of a session. Tasks of different jobs share the workers by `weight`.
    ///
    /// # Errors
    /// Unknown session, a number in use, too many jobs, a weight that is no positive number.
    pub fn open_job(
        &mut self,
        now: Time,
        s: SessionId,
        number: u32,
        name: &str,
        weight: f64,
    ) -> Result<JobId, SubmitError> {
        self.now = now;
        check_name("job", name)?;
        let most = self.config.max_jobs as usize;
        let Some(session) = self.sessions.get_mut(&s) else {
            return Err(SubmitError::Limit("the session is over: connect again".to_owned()));
        };
        if session.jobs.contains_key(&number) {
            return Err(SubmitError::Limit(format!(
                "job number {number} is in use: open each job once"
            )));
        }
        if session.jobs.len() >= most {
            let jobs = &mut self.jobs;
            session
                .jobs
                .retain(|_, id| jobs.get(id).is_some_and(|job| !job.closed || job.specs > 0));
            let over: Vec<JobId> = jobs
                .iter()
                .filter(|(_, job)| job.session == s && job.closed && job.specs == 0)
                .map(|(id, _)| *id)
                .collect();
            over.into_iter().for_each(|id| self.drop_job(id));
        }
        let Some(session) = self.sessions.get_mut(&s) else {
            return Err(SubmitError::Limit("the session is over: connect again".to_owned()));
        };
        if session.jobs.len() >= most {
            return Err(SubmitError::Limit(format!(
                "a session has at most {most} jobs: use fewer, or another session"
            )));
        }
        let weight = if weight == 0.0 { 1.0 } else { weight };
        if !(weight.is_finite() && weight > 0.0) {
            return Err(SubmitError::Limit(format!(
                "job '{name}' has the weight {weight}: give a positive number"
            )));
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        session.jobs.insert(number, id);
        let job = Job {
            name: name.to_owned(),
            weight: weight.clamp(1e-6, 1e6),
            session: s,
            queues: Vec::new(),
            served: self.served,
            recomputed: 0,
            specs: 0,
            orphaned: false,
            closed: false,
        };
        self.jobs.insert(id, job);
        Ok(id)
    }

    /// Nothing more will be submitted to this job.
    pub fn close_job(&mut self, s: SessionId, number: u32) {
        let Some(job) = self.job_of(s, number) else { return };
        if let Some(job) = self.jobs.get_mut(&job) {
            job.closed = true;
        }
        let Some(session) = self.sessions.get(&s) else { return };
        let specs: Vec<SpecId> = session.locals.iter().collect();
        for spec in specs {
            if let Some(found) = self.specs.get_mut(spec)
                && found.expecting
                && found.job == job
            {
                found.expecting = false;
                self.mark_dirty(spec);
            }
        }
        self.settle();
    }

    pub(super) fn job_of(&self, s: SessionId, number: u32) -> Option<JobId> {
        self.sessions.get(&s)?.jobs.get(&number).copied()
    }

    pub(super) fn drop_job_if_over(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|job| job.orphaned && job.specs == 0) {
            self.drop_job(job);
        }
    }

    fn drop_job(&mut self, job: JobId) {
        let Some(job) = self.jobs.remove(&job) else { return };
        for (_, queue) in job.queues {
            // Its number may be another's soon.
            if let Some(queue_of) = self.queues.remove(queue)
                && queue_of.listed
            {
                let class = &mut self.interned.classes[queue_of.class as usize];
                class.queues.retain(|id| *id != queue);
            }
        }
    }

    /// The descriptions that a range names.
    pub(super) fn specs_in(&self, s: SessionId, range: LocalRange) -> Vec<SpecId> {
        let Some(session) = self.sessions.get(&s) else { return Vec::new() };
        let end = range.local.saturating_add(range.count.max(1)).min(session.locals.next());
        (range.local..end).filter_map(|local| session.locals.get(local)).collect()
    }

    /// The members of a description that a range names.
    pub(super) fn members_in(&self, spec: SpecId, range: LocalRange) -> Option<(u32, u32)> {
        let len = self.specs.get(spec)?.len();
        if range.count > 1 {
            return Some((0, len));
        }
        let end = if range.end == 0 { len } else { range.end.min(len) };
        Some((range.start.min(end), end))
    }

    /// Tells the session how a wanted task ended, if it did.
    pub(super) fn tell_end(&mut self, task: TaskId) {
        let Some(spec) = self.specs.get(task.spec) else { return };
        if task.index >= spec.len() {
            return;
        }
        let cell = spec.cell(task.index);
        if !cell.has(super::members::WANTED) {
            return;
        }
        let Some(job) = self.jobs.get(&spec.job) else { return };
        if job.orphaned {
            return;
        }
        let (local, index) = (spec.local, task.index);
        let news = match cell.state {
            TaskState::Done => ToSession::Done {
                local,
                index,
                holder: WorkerId(cell.at),
                nbytes: cell.nbytes,
                inline: self.inline.get(&task).cloned(),
            },
            TaskState::Failed | TaskState::Cancelled => ToSession::Failed { local, index },
            _ => return,
        };
        self.actions.push(Action::Session(job.session, news));
    }

    /// A client could not read a wanted task's outputs from `failed_holder`: it is told of another
    /// holder, or of the same if there is no other, or of the end once the task has run again.
    /// `missing`: that holder was asked and does not have them.
    pub fn refetch(
        &mut self,
        now: Time,
        s: SessionId,
        local: u64,
        index: u32,
        failed_holder: WorkerId,
        missing: bool,
    ) {
        self.now = now;
        let Some(spec) = self.sessions.get(&s).and_then(|s| s.locals.get(local)) else { return };
        let task = TaskId::new(spec, index);
        if self.puts.contains_key(&spec) {
            // The client does not know where to put it.
            return self.target_put(spec);
        }
        if missing && self.holds(failed_holder, task) {
            let sole = self.holders(task).len() == 1;
            if sole && self.specs.get(spec).is_some_and(|spec| self.irreplaceable(spec)) {
                // Nothing could replace it: its holder itself is to say that it is lost.
                self.tell(failed_holder, ToWorker::Confirm(task));
            } else {
                self.remove_holder(task, failed_holder);
                self.tell(failed_holder, ToWorker::Release(task));
                self.settle();
            }
        }
        let holders = self.holders(task);
        let other = holders.iter().find(|holder| **holder != failed_holder);
        if let Some(holder) = other.or(holders.first()).copied() {
            let nbytes = self.task_bytes(task);
            let inline = self.inline.get(&task).cloned();
            let news = ToSession::Done { local, index, holder, nbytes, inline };
            self.actions.push(Action::Session(s, news));
        } else {
            self.tell_end(task);
        }
    }

    /// All jobs, as people see them.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobSummary> {
        let mut jobs: Vec<JobSummary> = self
            .jobs
            .iter()
            .map(|(id, job)| JobSummary {
                job: *id,
                name: job.name.clone(),
                weight: job.weight,
                session: job.session,
                progress: self.progress_of(job),
            })
            .collect();
        jobs.sort_by_key(|job| job.job);
        jobs
    }

    /// How far job `number` of a session is.
    #[must_use]
    pub fn progress(&self, s: SessionId, number: u32) -> Option<JobProgress> {
        self.jobs.get(&self.job_of(s, number)?).map(|job| self.progress_of(job))
    }

    fn progress_of(&self, job: &Job) -> JobProgress {
        let mut sum = [0u64; TaskState::COUNT];
        for (_, queue) in &job.queues {
            if let Some(queue) = self.queues.get(*queue) {
                sum.iter_mut().zip(queue.tasks).for_each(|(sum, tasks)| *sum += tasks);
            }
        }
        let of = |state: TaskState| sum[state as usize];
        JobProgress {
            total: sum.iter().sum(),
            waiting: of(TaskState::Waiting) + of(TaskState::Delayed),
            ready: of(TaskState::Ready),
            running: of(TaskState::Assigned),
            done: of(TaskState::Done) + of(TaskState::Released),
            failed: of(TaskState::Failed),
            cancelled: of(TaskState::Cancelled),
            recomputed: job.recomputed,
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), SubmitError> {
    if name.len() > MAX_NAME {
        return Err(SubmitError::Limit(format!(
            "the name of a {what} has {} bytes: use at most {MAX_NAME}",
            name.len()
        )));
    }
    Ok(())
}
