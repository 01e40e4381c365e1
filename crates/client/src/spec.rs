//! Descriptions of tasks: what to run, what it reads, and how it is to be treated.

use std::time::Duration;

use bytes::Bytes;
use dasklet_core::Resources;
use dasklet_protocol::v1;
use prost::Message;

use crate::{
    argument::{ArgWriter, Args},
    command::Command,
    dependency::Dep,
    encoded::BodyRef,
    error::ClientError,
    options::TaskOptions,
};

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// An operation and its encoded `args` fields.
    Native { name: String, args: Vec<u8> },
    /// An encoded `TaskBody`.
    Encoded(Bytes),
}

/// A task, or a task array, as it is submitted.
///
/// ```
/// use std::time::Duration;
/// use dasklet_client::TaskSpec;
///
/// let spec = TaskSpec::op("sleep", (0.1,))?.retries(2).timeout(Duration::from_secs(5)).key("nap");
/// # Ok::<(), dasklet_client::ClientError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TaskSpec {
    pub(crate) body: Body,
    pub(crate) dependencies: Vec<Dep>,
    pub(crate) outputs: u32,
    pub(crate) options: TaskOptions,
    pub(crate) key: Bytes,
    pub(crate) order: Option<u32>,
    pub(crate) first_index: u32,
}

impl TaskSpec {
    fn new(body: Body, dependencies: Vec<Dep>) -> Self {
        Self {
            body,
            dependencies,
            outputs: 1,
            options: TaskOptions::default(),
            key: Bytes::new(),
            order: None,
            first_index: 0,
        }
    }

    /// A registered operation.
    ///
    /// # Errors
    /// An argument cannot be written as MessagePack.
    pub fn op(name: impl Into<String>, args: impl Args) -> Result<Self, ClientError> {
        let mut writer = ArgWriter::default();
        args.write_all(&mut writer)?;
        let (args, dependencies) = writer.into_parts();
        Ok(Self::new(Body::Native { name: name.into(), args }, dependencies))
    }

    /// A command.
    #[must_use]
    pub fn command(command: Command) -> Self {
        let Command(command, dependencies) = command;
        let kind = Some(v1::task_body::Kind::Command(command));
        Self::new(Body::Encoded(v1::TaskBody { kind }.encode_to_vec().into()), dependencies)
    }

    /// A stage of a query: bytes that only the worker's stage runner understands.
    #[must_use]
    pub fn stage(body: impl Into<Bytes>) -> Self {
        let kind = Some(v1::task_body::Kind::Stage(body.into()));
        Self::new(Body::Encoded(v1::TaskBody { kind }.encode_to_vec().into()), Vec::new())
    }

    /// Adds a dependency after those that the arguments brought.
    #[must_use]
    pub fn dep(mut self, dep: impl Into<Dep>) -> Self {
        self.dependencies.push(dep.into());
        self
    }

    /// Number of outputs of each member.
    #[must_use]
    pub fn outputs(mut self, number: u32) -> Self {
        self.outputs = number.max(1);
        self
    }

    /// The name people know it by.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = key.into();
        self
    }

    /// Its place among the tasks of the same submission: lower first. Otherwise the order in
    /// which they are submitted, in a graph depth first.
    #[must_use]
    pub fn order(mut self, order: u32) -> Self {
        self.order = Some(order);
        self
    }

    /// The index of the first member as its user sees it; inside, indexes start at 0.
    #[must_use]
    pub fn first_index(mut self, index: u32) -> Self {
        self.first_index = index;
        self
    }

    /// All options at once.
    #[must_use]
    pub fn options(mut self, options: TaskOptions) -> Self {
        self.options = options;
        self
    }

    /// What a run takes on its worker.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.options.resources = resources;
        self
    }

    /// Higher first, within a job.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Further attempts after errors of its own.
    #[must_use]
    pub fn retries(mut self, number: u32) -> Self {
        self.options.retries = number;
        self
    }

    /// Wait before each further attempt.
    #[must_use]
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.options.retry_delay = delay;
        self
    }

    /// Longest run.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Names of workers or groups it may run on.
    #[must_use]
    pub fn workers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.options.workers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Never run again once it may have started.
    #[must_use]
    pub fn not_idempotent(mut self) -> Self {
        self.options.not_idempotent = true;
        self
    }

    /// A second run may give another result.
    #[must_use]
    pub fn not_deterministic(mut self) -> Self {
        self.options.not_deterministic = true;
        self
    }

    /// Started attempts that may die with their worker or process.
    #[must_use]
    pub fn max_deaths(mut self, number: u32) -> Self {
        self.options.max_deaths = number;
        self
    }

    /// How people know it: by its key, or by what it runs.
    pub(crate) fn name(&self) -> String {
        match (&self.key[..], &self.body) {
            ([], Body::Native { name, .. }) => format!("a task of operation '{name}'"),
            ([], Body::Encoded(_)) => "the task".to_owned(),
            (key, _) => format!("task '{}'", String::from_utf8_lossy(key)),
        }
    }

    /// What it takes on the wire but for its dependencies, about.
    pub(crate) fn own_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Native { name, args } => name.len() + args.len(),
            Body::Encoded(body) => body.len(),
        };
        48 + body + self.key.len()
    }

    /// About what it takes on the wire.
    pub(crate) fn estimated_bytes(&self) -> usize {
        let keys = self.dependencies.iter().filter_map(Dep::named_key).map(<[u8]>::len);
        self.own_bytes() + 16 * self.dependencies.len() + keys.sum::<usize>()
    }

    pub(crate) fn body(&self) -> BodyRef<'_> {
        match &self.body {
            Body::Native { name, args } => BodyRef::Native { name, args },
            Body::Encoded(body) => BodyRef::Encoded(body),
        }
    }
}
