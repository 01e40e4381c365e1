//! Descriptions of tasks: what to run, what it reads, and how it is to be treated.

use std::time::Duration;

use bytes::Bytes;
use dasklet_core::Resources;
use dasklet_protocol::v1;
use prost::Message;

use crate::{
    argument::{ArgWriter, Args},
    dependency::Dep,
    error::ClientError,
    wire::{delimited_length, put_bytes, put_integer, put_length},
};

/// How a task is to be treated. Tasks with equal options share them on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskOptions {
    /// What a run takes on its worker; empty: one cpu.
    pub resources: Resources,
    /// Higher first, within a job.
    pub priority: i32,
    /// Further attempts after errors of its own.
    pub retries: u32,
    /// Wait before such an attempt.
    pub retry_delay: Duration,
    /// Longest run; `None`: no limit.
    pub timeout: Option<Duration>,
    /// Names of workers or groups it may run on; empty: any.
    pub workers: Vec<String>,
    /// Never run again once it may have started.
    pub not_idempotent: bool,
    /// A second run may give another result: what read the first one runs again, too.
    pub not_deterministic: bool,
    /// Started attempts that may die with their worker or process; 0: the default of 3.
    pub max_deaths: u32,
}

impl TaskOptions {
    pub(crate) fn to_wire(&self) -> v1::TaskOptions {
        let amount = |(name, thousandths): (&str, u64)| v1::ResourceAmount {
            name: name.to_owned(),
            thousandths,
        };
        v1::TaskOptions {
            resources: self.resources.iter().map(amount).collect(),
            priority: self.priority,
            retries: self.retries,
            retry_delay_millis: self.retry_delay.as_millis().try_into().unwrap_or(u32::MAX),
            // A timeout below a millisecond is still a timeout.
            timeout_millis: self
                .timeout
                .map_or(0, |t| t.as_millis().clamp(1, u64::MAX.into()) as u64),
            workers: self.workers.clone(),
            not_idempotent: self.not_idempotent,
            not_deterministic: self.not_deterministic,
            max_deaths: self.max_deaths,
        }
    }
}

/// A program to run; what it writes to its standard output is the task's output.
///
/// ```
/// use dasklet_client::{Command, TaskSpec};
///
/// let spec = TaskSpec::command(Command::new(["sh", "-c", "wc -l < list.txt"])
///     .env("LC_ALL", "C")
///     .file("list.txt", "one\ntwo\n"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Command(v1::Command, Vec<Dep>);

impl Command {
    /// The program and its arguments.
    #[must_use]
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self(v1::Command { argv, ..v1::Command::default() }, Vec::new())
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.env.insert(name.into(), value.into());
        self
    }

    /// What it reads on its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Bytes>) -> Self {
        self.0.stdin = bytes.into();
        self
    }

    /// Writes a file into its scratch folder before it starts.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.0.files.insert(name.into(), content.into());
        self
    }

    /// Writes an output of another task into its scratch folder before it starts.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, dep: impl Into<Dep>) -> Self {
        self.0.input_files.push(name.into());
        self.1.push(dep.into());
        self
    }

    /// Starts only after this task, whose output it does not read.
    #[must_use]
    pub fn after(self, dep: impl Into<Dep>) -> Self {
        self.input("", dep)
    }
}

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

/// What to run, borrowed.
#[derive(Clone, Copy)]
pub(crate) enum BodyRef<'a> {
    Native { name: &'a str, args: &'a [u8] },
    Encoded(&'a [u8]),
}

/// All that a `Task` message says, ready to be written.
pub(crate) struct EncodedTask<'a> {
    pub(crate) body: BodyRef<'a>,
    /// Encoded `deps` fields.
    pub(crate) dependencies: &'a [u8],
    pub(crate) key: &'a [u8],
    pub(crate) options: u32,
    pub(crate) array: u32,
    pub(crate) outputs: u32,
    pub(crate) order: u32,
    pub(crate) wanted: bool,
    pub(crate) first_index: u32,
}

impl EncodedTask<'_> {
    /// Writes the content of the message.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        use bytes::BufMut;
        put_bytes(buffer, 1, self.key);
        match self.body {
            BodyRef::Encoded(body) => put_bytes(buffer, 2, body),
            BodyRef::Native { name, args } => {
                let native = delimited_length(1, name.len()) + args.len();
                put_length(buffer, 2, delimited_length(1, native));
                put_length(buffer, 1, native);
                put_length(buffer, 1, name.len());
                buffer.put_slice(name.as_bytes());
                buffer.put_slice(args);
            }
        }
        buffer.put_slice(self.dependencies);
        put_integer(buffer, 4, u64::from(self.options));
        put_integer(buffer, 5, u64::from(self.array));
        put_integer(buffer, 6, u64::from(if self.outputs == 1 { 0 } else { self.outputs }));
        put_integer(buffer, 7, u64::from(self.order));
        put_integer(buffer, 8, u64::from(self.wanted));
        put_integer(buffer, 9, u64::from(self.first_index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_back_as_it_was_written() {
        let TaskSpec { body: Body::Native { name, args }, .. } =
            TaskSpec::op("add", (1, 2)).unwrap()
        else {
            unreachable!("an operation")
        };
        let mut buffer = Vec::new();
        EncodedTask {
            body: BodyRef::Native { name: &name, args: &args },
            dependencies: &[],
            key: b"k",
            options: 3,
            array: 1000,
            outputs: 4,
            order: 9,
            wanted: true,
            first_index: 100,
        }
        .write(&mut buffer);
        let task = v1::Task::decode(&buffer[..]).unwrap();
        assert_eq!(
            (
                &task.key[..],
                task.options,
                task.array,
                task.outputs,
                task.order,
                task.wanted,
                task.first_index
            ),
            (&b"k"[..], 3, 1000, 4, 9, true, 100)
        );
        let body = v1::TaskBody::decode(task.body).unwrap();
        let Some(v1::task_body::Kind::Native(native)) = body.kind else { panic!("{body:?}") };
        assert_eq!((native.name.as_str(), native.args.len()), ("add", 2));
    }
}
