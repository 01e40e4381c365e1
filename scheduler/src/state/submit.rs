//! Accepting descriptions.

use std::hash::BuildHasher;

use dasklet_core::{JobId, Key, SessionId, SpecId, TaskId};

use super::{
    State, SubmitError, SubmittedTask, TaskOptions, TaskState, Time,
    members::{Cell, Members},
    spec::{Array, Edge, EdgeMembers, NOBODY, Spec, Tasks},
    validate::{From, Resolved},
};

impl State {
    /// Accepts descriptions, all or none. They get the session's numbers from `first` on, which
    /// must be the next. Answers their ids in order.
    ///
    /// # Errors
    /// Says what is wrong with the first that cannot be accepted; nothing is accepted then.
    pub fn submit(
        &mut self,
        now: Time,
        s: SessionId,
        job_number: u32,
        first: u64,
        options: Vec<TaskOptions>,
        tasks: Vec<SubmittedTask>,
    ) -> Result<Vec<SpecId>, SubmitError> {
        self.now = now;
        let Some(job) = self.job_of(s, job_number) else {
            return Err(SubmitError::Limit(format!(
                "job number {job_number} is not open: open it first"
            )));
        };
        let edges = self.validate(s, first, &options, &tasks)?;
        let queues: Vec<(u32, u32)> =
            options.iter().map(|options| self.queue_for(job, options)).collect();
        self.generation += 1;
        let base = self.specs.next_id().0;
        let ids: Vec<SpecId> = (0..tasks.len() as u32).map(|n| SpecId(base + n)).collect();
        for (position, (task, edges)) in tasks.into_iter().zip(edges).enumerate() {
            let (options, queue) = queues[task.options as usize];
            let inputs = edges.iter().map(|edge| to_edge(edge, base)).collect();
            let spec = self.describe_spec(task, inputs, job, first + position as u64);
            self.add_spec(Spec { options, queue, ..spec });
        }
        for (options, queue) in queues {
            self.let_go(options, queue);
        }
        self.note_varying(&ids);
        for id in &ids {
            self.connect(*id);
        }
        for id in &ids {
            self.open(*id);
            self.require_own_all(*id);
        }
        for id in &ids {
            if self.specs.get(*id).is_some_and(|spec| spec.missing == 0 && spec.pending > 0) {
                self.unblock(*id);
            }
        }
        self.settle();
        Ok(ids)
    }

    /// Finds out which new descriptions vary, themselves or by what they read.
    fn note_varying(&mut self, ids: &[SpecId]) {
        let mut forward = false;
        let mut any = false;
        for id in ids {
            let Some(spec) = self.specs.get(*id) else { continue };
            let varying = !self.interned.options(spec.options).deterministic
                || spec
                    .inputs
                    .iter()
                    .any(|edge| self.specs.get(edge.source).is_some_and(|source| source.varying));
            forward |= spec.inputs.iter().any(|edge| edge.source >= *id);
            any |= varying;
            if varying && let Some(spec) = self.specs.get_mut(*id) {
                spec.varying = true;
            }
        }
        if forward && any {
            // Not worth an order: taking more for varying than do is safe.
            for id in ids {
                if let Some(spec) = self.specs.get_mut(*id) {
                    spec.varying = true;
                }
            }
        }
    }

    /// Passes over the numbers of a submission that was refused, so that the next is in order.
    /// False if they are not the next.
    pub fn skip_locals(&mut self, s: SessionId, first: u64, count: u64) -> bool {
        let Some(session) = self.sessions.get_mut(&s) else { return false };
        if session.locals.next() != first || count > self.config.max_specs {
            return false;
        }
        session.locals.skip(count);
        true
    }

    fn describe_spec(
        &self,
        task: SubmittedTask,
        inputs: Box<[Edge]>,
        job: JobId,
        local: u64,
    ) -> Spec {
        let len = task.array.unwrap_or(1);
        let tasks = match task.array {
            None => Tasks::One(Cell::new(TaskState::Waiting, task.wanted)),
            Some(len) => Tasks::Array(Box::new(Array {
                members: Members::new(len, task.wanted),
                first_index: task.first_index,
                same_index: Default::default(),
                by_member: Default::default(),
                available: 0,
                workers: Vec::new(),
                reads_same_index: inputs.iter().any(|edge| edge.members == EdgeMembers::SameIndex),
                cursor_queued: false,
                mean: Default::default(),
            })),
        };
        Spec {
            key: task.key,
            body: task.body,
            inputs,
            consumers: Default::default(),
            tasks,
            local,
            job,
            older: NOBODY,
            newer: NOBODY,
            options: 0,
            queue: 0,
            outputs: task.outputs,
            order: task.order,
            generation: self.generation,
            pending: len,
            wanted: if task.wanted { len } else { 0 },
            missing: 0,
            active: 0,
            retained: 0,
            is_put: false,
            varying: false,
            // It would be useless unless something reads it: that is still to come.
            expecting: !task.wanted,
            dirty: false,
        }
    }

    /// Enters a description whose tasks all wait.
    pub(super) fn add_spec(&mut self, spec: Spec) -> SpecId {
        let len = u64::from(spec.len());
        self.counters.accepted += len;
        self.counters.tasks[TaskState::Waiting as usize] += len;
        if let Some(queue) = self.queues.get_mut(spec.queue) {
            queue.tasks[TaskState::Waiting as usize] += len;
        }
        let hash = (!spec.key.is_empty()).then(|| self.hash_key(&spec.key));
        let (job, local) = (spec.job, spec.local);
        self.hold(spec.options, spec.queue);
        let id = self.specs.push(spec);
        if let Some(hash) = hash {
            self.keys.insert(hash, id);
        }
        self.list_in_job(id, job);
        let session = self.jobs.get(&job).map(|job| job.session);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
            debug_assert_eq!(session.locals.next(), local, "numbers are checked before");
            session.locals.push(id);
        }
        id
    }

    /// Enters the edges of a new description at their sources.
    fn connect(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get_mut(id) else { return };
        let inputs = std::mem::take(&mut spec.inputs);
        let len = spec.len();
        for edge in &inputs {
            let Some(source) = self.specs.get_mut(edge.source) else { continue };
            source.retained += 1;
            // Members that are not read yet may be read by what is still to come.
            source.expecting &= match edge.members {
                EdgeMembers::Whole | EdgeMembers::All => false,
                EdgeMembers::SameIndex => len < source.len(),
                EdgeMembers::One(_) => true,
            };
            match edge.members {
                EdgeMembers::Whole | EdgeMembers::All => source.consumers.push(id),
                EdgeMembers::One(member) => {
                    if let Some(array) = source.array_mut() {
                        let consumers = array.by_member.entry(member).or_default();
                        consumers.specs.push(id);
                        consumers.retained += 1;
                    }
                }
                EdgeMembers::SameIndex => {
                    if let Some(array) = source.array_mut() {
                        array.same_index.push(id);
                    }
                }
            }
        }
        if let Some(spec) = self.specs.get_mut(id) {
            spec.inputs = inputs;
        }
    }

    /// Asks for what new members read by their own index, where it is not there.
    fn require_own_all(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get(id) else { return };
        let len = spec.len();
        let over = spec.inputs.iter().any(|edge| {
            edge.members == EdgeMembers::SameIndex
                && self.specs.get(edge.source).is_some_and(|source| {
                    let available = source.array().map_or(0, |array| array.available);
                    u64::from(source.pending) + u64::from(available) < u64::from(source.len())
                })
        });
        if over {
            for index in 0..len {
                self.require_own(TaskId::new(id, index));
            }
        }
    }

    pub(super) fn hash_key(&self, key: &Key) -> u64 {
        self.key_hasher.hash_one(key.as_bytes())
    }
}

fn to_edge(edge: &Resolved, base: u32) -> Edge {
    let source = match edge.from {
        From::Known(id) => id,
        From::New(position) => SpecId(base + position as u32),
    };
    Edge { source, members: edge.members, output: edge.output }
}
