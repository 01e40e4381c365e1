//! Jobs: what a session's tasks are queued, weighed and reported under.

use dasklet_core::{JobId, SessionId, SpecId};

use super::{
    FastMap, JobProgress, JobSummary, State, SubmitError, TaskState, Time,
    sessions::check_name,
    spec::{NOBODY, Spec},
};

/// What tasks are queued, weighed and reported under.
#[derive(Debug)]
pub(super) struct Job {
    pub name: String,
    pub weight: f64,
    pub session: SessionId,
    /// Its queues by class, as long as it has descriptions there.
    pub queues: FastMap<u32, u32>,
    /// Tasks of queues that are gone, by how they ended.
    pub ended: [u64; TaskState::COUNT],
    /// Work handed out so far, in microseconds for a weight of one.
    pub served: f64,
    pub recomputed: u64,
    /// Descriptions that are not forgotten.
    pub specs: u64,
    /// The newest of them, if there is one. Each knows its neighbours.
    pub newest: SpecId,
    /// Its session is gone: it goes with its last description.
    pub orphaned: bool,
    /// Nothing more will be submitted to it.
    pub closed: bool,
}

impl State {
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
        let over = || SubmitError::Limit("the session is over: connect again".to_owned());
        let most = self.config.max_jobs as usize;
        if self.sessions.get(&s).ok_or_else(over)?.jobs.len() >= most {
            self.drop_closed_jobs(s);
        }
        let session = self.sessions.get_mut(&s).ok_or_else(over)?;
        if session.jobs.contains_key(&number) {
            return Err(SubmitError::Limit(format!(
                "job number {number} is in use: open each job once"
            )));
        }
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
            queues: FastMap::default(),
            ended: [0; TaskState::COUNT],
            served: self.served,
            recomputed: 0,
            specs: 0,
            newest: NOBODY,
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
        for spec in self.specs_of_job(job) {
            if let Some(found) = self.specs.get_mut(spec)
                && found.expecting
            {
                found.expecting = false;
                self.mark_dirty(spec);
            }
        }
        self.settle();
    }

    /// Cancels all that is unfinished in a job.
    pub fn cancel_job(&mut self, now: Time, s: SessionId, number: u32) {
        self.now = now;
        let Some(job) = self.job_of(s, number) else { return };
        for id in self.specs_of_job(job) {
            self.cancel_members(id, 0, u32::MAX);
        }
        self.settle();
    }

    /// A job's descriptions, the newest first.
    pub(super) fn specs_of_job(&self, job: JobId) -> Vec<SpecId> {
        let Some(job) = self.jobs.get(&job) else { return Vec::new() };
        let mut specs = Vec::with_capacity(job.specs as usize);
        let mut next = job.newest;
        while let Some(spec) = self.specs.get(next) {
            specs.push(next);
            next = spec.older;
        }
        specs
    }

    /// Enters a new description into the list of its job.
    pub(super) fn list_in_job(&mut self, id: SpecId, job: JobId) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        let older = std::mem::replace(&mut job.newest, id);
        job.specs += 1;
        if let Some(older) = self.specs.get_mut(older) {
            older.newer = id;
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.older = older;
        }
    }

    /// Takes a description that is forgotten from the list of its job.
    pub(super) fn unlist_in_job(&mut self, spec: &Spec) {
        if let Some(older) = self.specs.get_mut(spec.older) {
            older.newer = spec.newer;
        }
        let Some(job) = self.jobs.get_mut(&spec.job) else { return };
        job.specs -= 1;
        match self.specs.get_mut(spec.newer) {
            Some(newer) => newer.older = spec.older,
            None => job.newest = spec.older,
        }
    }

    pub(super) fn job_of(&self, s: SessionId, number: u32) -> Option<JobId> {
        self.sessions.get(&s)?.jobs.get(&number).copied()
    }

    pub(super) fn drop_job_if_over(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|job| job.orphaned && job.specs == 0) {
            self.drop_job(job);
        }
    }

    /// Forgets the jobs of a session to which nothing more is submitted and of which nothing is left.
    fn drop_closed_jobs(&mut self, s: SessionId) {
        let Some(session) = self.sessions.get_mut(&s) else { return };
        let jobs = &self.jobs;
        let is_over = |id: &JobId| jobs.get(id).is_none_or(|job| job.closed && job.specs == 0);
        let over: Vec<JobId> = session.jobs.values().copied().filter(is_over).collect();
        session.jobs.retain(|_, id| !is_over(id));
        over.into_iter().for_each(|id| self.drop_job(id));
    }

    /// Forgets a job that has no descriptions, and so no queues.
    fn drop_job(&mut self, job: JobId) {
        let job = self.jobs.remove(&job);
        debug_assert!(job.is_none_or(|job| job.queues.is_empty()), "queues go with descriptions");
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
        let mut sum = job.ended;
        for queue in job.queues.values() {
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
