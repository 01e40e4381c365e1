//! Whether a submission can be accepted. Changes nothing.

use std::collections::HashMap;

use dasklet_core::{JobId, Key, SessionId, SpecId};

use super::{
    Dependency, Members, Output, Source, State, SubmitError, SubmittedTask, TaskOptions,
    spec::{EdgeMembers, EdgeOutput},
};

/// What a task reads is listed in one message: at most so many bytes, for each member of a range
/// and for each single one.
const MAX_LISTED_BYTES: u64 = 3 << 20;
const MEMBER_BYTES: u64 = 15;
const EDGE_BYTES: u64 = 32;
/// Tasks of a circle that an error names.
const MAX_CIRCLE: usize = 20;

/// Where a dependency comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Accepted before.
    Known(SpecId),
    /// The task of this position in the same submission.
    New(usize),
}

/// A dependency whose source was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved {
    pub from: From,
    pub members: EdgeMembers,
    pub output: EdgeOutput,
}

impl State {
    /// Looks at numbers and limits; answers the job for put values, if it is open.
    pub(super) fn check_room(
        &self,
        s: SessionId,
        first: u64,
        specs: u64,
        tasks: u64,
    ) -> Result<Option<JobId>, SubmitError> {
        let Some(session) = self.sessions.get(&s) else {
            return Err(SubmitError::Limit("the session is over: connect again".to_owned()));
        };
        let expected = session.locals.next();
        if first != expected {
            return Err(SubmitError::OutOfOrder { expected, got: first });
        }
        let present: u64 = self.counters.tasks.iter().sum();
        if present + tasks > self.config.max_tasks {
            return Err(SubmitError::Limit(format!(
                "{tasks} more tasks would exceed the scheduler's limit of {} tasks at once, of which it has {present}: release some, or raise the limit",
                self.config.max_tasks
            )));
        }
        let most =
            self.config.max_specs.min(u64::from(u32::MAX) - u64::from(self.specs.next_id().0));
        if self.specs.live() + specs > most.max(1) - 1 {
            return Err(SubmitError::Limit(format!(
                "{specs} more descriptions would exceed the scheduler's limit of {most}: use task arrays, release some, or raise the limit"
            )));
        }
        Ok(session.jobs.get(&u32::MAX).copied())
    }

    /// A key that is not in use.
    pub(super) fn check_key(&self, key: &Key) -> Result<(), SubmitError> {
        if key.is_empty() {
            return Ok(());
        }
        match self.keys.get(&self.hash_key(key)).and_then(|id| self.specs.get(*id)) {
            Some(spec) if spec.wanted > 0 || spec.pending > 0 || spec.expecting => {
                Err(SubmitError::DuplicateKey(key.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Checks a whole submission and finds the sources of all dependencies.
    pub(super) fn validate(
        &self,
        s: SessionId,
        first: u64,
        options: &[TaskOptions],
        tasks: &[SubmittedTask],
    ) -> Result<Vec<Vec<Resolved>>, SubmitError> {
        self.check_room(s, first, tasks.len() as u64, 0)?;
        let members = tasks.iter().map(|task| u64::from(task.array.unwrap_or(1))).sum();
        self.check_room(s, first, tasks.len() as u64, members)?;
        let new = options.iter().filter(|options| !self.interned.has_options(options)).count();
        if self.interned.sets() + new > self.config.max_options as usize {
            return Err(SubmitError::Limit(format!(
                "the scheduler knows {} different sets of task options, the most it keeps: give tasks the same options where they can have them",
                self.config.max_options
            )));
        }
        let keys = self.keys_of(tasks)?;
        let mut forward = false;
        let mut all = Vec::with_capacity(tasks.len());
        for (position, task) in tasks.iter().enumerate() {
            self.check_task(first + position as u64, task, options)?;
            let mut resolved = Vec::with_capacity(task.dependencies.len());
            for dependency in &task.dependencies {
                let edge = self.resolve(s, first, position, tasks, dependency, &keys)?;
                forward |= matches!(edge.from, From::New(source) if source >= position);
                resolved.push(edge);
            }
            self.check_reads(first + position as u64, tasks, task, &resolved)?;
            all.push(resolved);
        }
        if forward {
            find_circle(first, tasks, &all)?;
        }
        Ok(all)
    }

    fn keys_of<'a>(
        &self,
        tasks: &'a [SubmittedTask],
    ) -> Result<HashMap<&'a Key, usize>, SubmitError> {
        let mut keys = HashMap::new();
        for (position, task) in tasks.iter().enumerate() {
            if task.key.is_empty() {
                continue;
            }
            self.check_key(&task.key)?;
            if keys.insert(&task.key, position).is_some() {
                return Err(SubmitError::DuplicateKey(task.key.to_string()));
            }
        }
        Ok(keys)
    }

    fn check_task(
        &self,
        local: u64,
        task: &SubmittedTask,
        options: &[TaskOptions],
    ) -> Result<(), SubmitError> {
        let name = name(local, task);
        let limit = |problem: String| Err(SubmitError::Limit(format!("task {name} {problem}")));
        if task.options as usize >= options.len() {
            return limit(format!(
                "names options {}, and the submission has only {}",
                task.options,
                options.len()
            ));
        }
        if task.array == Some(0) {
            return limit("is a task array without members: give it at least one".to_owned());
        }
        if task.array == Some(u32::MAX) {
            return limit("has too many members: split the task array".to_owned());
        }
        let most = self.config.max_outputs;
        if task.outputs == 0 || task.outputs > most {
            return limit(format!("has {} outputs: give it 1 to {most}", task.outputs));
        }
        Ok(())
    }

    /// What one task reads must fit into one message to its worker.
    fn check_reads(
        &self,
        local: u64,
        tasks: &[SubmittedTask],
        task: &SubmittedTask,
        edges: &[Resolved],
    ) -> Result<(), SubmitError> {
        let bytes = |edge: &Resolved| match (edge.members, edge.from) {
            (EdgeMembers::All, From::New(source)) => {
                MEMBER_BYTES * u64::from(tasks[source].array.unwrap_or(1))
            }
            (EdgeMembers::All, From::Known(id)) => {
                MEMBER_BYTES * self.specs.get(id).map_or(0, |spec| u64::from(spec.len()))
            }
            _ => EDGE_BYTES,
        };
        let listed: u64 = edges.iter().map(bytes).sum();
        if listed > MAX_LISTED_BYTES {
            return Err(SubmitError::Limit(format!(
                "task {} reads more outputs than one task may, about {}: combine them in steps, a few thousand at a time",
                name(local, task),
                MAX_LISTED_BYTES / MEMBER_BYTES
            )));
        }
        Ok(())
    }

    fn resolve(
        &self,
        s: SessionId,
        first: u64,
        position: usize,
        tasks: &[SubmittedTask],
        dependency: &Dependency,
        keys: &HashMap<&Key, usize>,
    ) -> Result<Resolved, SubmitError> {
        let task = &tasks[position];
        let unknown = |dependency: String| SubmitError::UnknownDependency {
            task: name(first + position as u64, task),
            dependency,
        };
        let from = match &dependency.source {
            Source::Local(local) => match local.checked_sub(first) {
                Some(offset) if offset < tasks.len() as u64 => From::New(offset as usize),
                Some(_) => return Err(unknown(format!("number {local}"))),
                None => {
                    let known = self.sessions.get(&s).and_then(|s| s.locals.get(*local));
                    From::Known(known.ok_or_else(|| unknown(format!("number {local}")))?)
                }
            },
            Source::Key(key) => match keys.get(key) {
                Some(position) => From::New(*position),
                None => {
                    let known = self.keys.get(&self.hash_key(key)).copied();
                    let known =
                        known.filter(|id| self.specs.get(*id).is_some_and(|spec| spec.key == *key));
                    From::Known(known.ok_or_else(|| unknown(format!("'{key}'")))?)
                }
            },
        };
        // Length, number of outputs, and whether it is an array.
        let (len, outputs, is_array) = match from {
            From::New(source) => {
                let source = &tasks[source];
                (source.array.unwrap_or(1), source.outputs, source.array.is_some())
            }
            From::Known(id) => {
                let spec = self.specs.get(id).ok_or_else(|| unknown(format!("{id}")))?;
                (spec.len(), spec.outputs, spec.is_array())
            }
        };
        let own_len = task.array.unwrap_or(1);
        let out_of_range = |what: String, has: String| SubmitError::OutOfRange {
            task: name(first + position as u64, task),
            what,
            dependency: match from {
                From::New(source) => name(first + source as u64, &tasks[source]),
                From::Known(id) => self.label(dasklet_core::TaskId::new(id, 0)),
            },
            has,
        };
        let members = match dependency.members {
            Members::One(member) if member >= len => {
                return Err(out_of_range(format!("member {member}"), count(len, "member")));
            }
            Members::One(_) | Members::All if !is_array => EdgeMembers::Whole,
            Members::One(member) => EdgeMembers::One(member),
            Members::All => EdgeMembers::All,
            Members::SameIndex if own_len > len => {
                return Err(out_of_range(format!("member {}", own_len - 1), count(len, "member")));
            }
            Members::SameIndex if !is_array => EdgeMembers::Whole,
            Members::SameIndex if task.array.is_none() => EdgeMembers::One(0),
            Members::SameIndex => EdgeMembers::SameIndex,
        };
        let output = match dependency.output {
            Output::Fixed(output) if output >= outputs => {
                return Err(out_of_range(format!("output {output}"), count(outputs, "output")));
            }
            Output::MyIndex if own_len > outputs => {
                return Err(out_of_range(
                    format!("output {}", own_len - 1),
                    count(outputs, "output"),
                ));
            }
            Output::Fixed(output) => EdgeOutput::Fixed(output),
            Output::MyIndex => EdgeOutput::MyIndex,
        };
        Ok(Resolved { from, members, output })
    }
}

fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn name(local: u64, task: &SubmittedTask) -> String {
    if task.key.is_empty() { format!("number {local}") } else { format!("'{}'", task.key) }
}

/// An error if tasks of the submission wait for each other (Kahn's algorithm, then a walk along
/// what is left).
fn find_circle(
    first: u64,
    tasks: &[SubmittedTask],
    all: &[Vec<Resolved>],
) -> Result<(), SubmitError> {
    let sources = |position: usize| {
        all[position].iter().filter_map(|edge: &Resolved| match edge.from {
            From::New(source) => Some(source),
            From::Known(_) => None,
        })
    };
    let mut consumers = vec![Vec::new(); tasks.len()];
    let mut missing = vec![0u32; tasks.len()];
    for (position, missing) in missing.iter_mut().enumerate() {
        for source in sources(position) {
            consumers[source].push(position);
            *missing += 1;
        }
    }
    let mut free: Vec<usize> = (0..tasks.len()).filter(|p| missing[*p] == 0).collect();
    while let Some(position) = free.pop() {
        for consumer in &consumers[position] {
            missing[*consumer] -= 1;
            if missing[*consumer] == 0 {
                free.push(*consumer);
            }
        }
    }
    let Some(start) = missing.iter().position(|n| *n > 0) else { return Ok(()) };
    // Every task that is left has a source that is left: walk until one comes again.
    let mut path = vec![start];
    let mut seen = HashMap::from([(start, 0)]);
    loop {
        let here = path[path.len() - 1];
        let Some(next) = sources(here).find(|source| missing[*source] > 0) else { return Ok(()) };
        if let Some(begin) = seen.get(&next) {
            let circle = path[*begin..].iter().rev().chain([&path[path.len() - 1]]);
            let names = circle.take(MAX_CIRCLE).map(|p| name(first + *p as u64, &tasks[*p]));
            return Err(SubmitError::Cycle(names.collect()));
        }
        seen.insert(next, path.len());
        path.push(next);
    }
}
