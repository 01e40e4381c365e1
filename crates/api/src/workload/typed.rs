//! A workload as it is meant: every name known, every default filled in.

use std::collections::BTreeMap;

use dasklet_core::Resources;
use serde_json::Value;

use super::{
    array::IndexRange,
    spec::{Output, TableFormat},
};

/// What a native job runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// A query over tables.
    Sql(SqlWorkload),
    /// A graph of tasks, each after those that it reads or waits for.
    Tasks(Vec<WorkloadTask>),
}

/// A query over tables.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlWorkload {
    /// Name, path, format and options of each table.
    pub tables: Vec<Table>,
    /// The query.
    pub sql: String,
    /// Where the result goes; absent: it is printed.
    pub output: Option<Output>,
}

/// One table of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// As the query calls it.
    pub name: String,
    /// A file, a folder, or a pattern; local, or a URL.
    pub path: String,
    /// How rows are stored.
    pub format: TableFormat,
    /// Options of the format.
    pub options: BTreeMap<String, Value>,
}

/// One task, or task array.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadTask {
    /// Unique in the workload.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// The indexes of a task array.
    pub array: Option<IndexRange>,
    /// Tasks that have to end well first, beside those that it reads.
    pub after: Vec<String>,
    /// What it asks of a worker.
    pub resources: Resources,
    /// Further attempts after an error of its own.
    pub retries: u32,
    /// Wait before each of them.
    pub retry_delay_seconds: f64,
    /// Longest run of one attempt.
    pub timeout_seconds: Option<f64>,
    /// Higher ones run first.
    pub priority: i32,
    /// Whether it may run again once it has started and its end is unknown.
    pub idempotent: bool,
    /// Whether it gives the same result when it runs again.
    pub deterministic: bool,
    /// How often it may die with its worker; absent: the scheduler's default.
    pub max_deaths: Option<u32>,
    /// Workers or groups that may run it; empty: any.
    pub workers: Vec<String>,
    /// Whether its result is shown at the end.
    pub result: bool,
}

impl WorkloadTask {
    /// Every result that it reads, in the order in which they are written down.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let (args, inputs, stdin) = match &self.action {
            Action::Operation { args, .. } => (Some(args), None, None),
            Action::Command { stdin, inputs, .. } => (None, Some(inputs), Some(stdin)),
        };
        let args = args.into_iter().flatten().filter_map(|arg| match arg {
            Arg::From(source) => Some(source),
            Arg::Literal(_) | Arg::Index => None,
        });
        let stdin = stdin.into_iter().filter_map(|stdin| match stdin {
            Stdin::From(source) => Some(source),
            Stdin::Empty | Stdin::Text(_) => None,
        });
        args.chain(stdin).chain(inputs.into_iter().flat_map(BTreeMap::values))
    }
}

/// What a task does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Runs a registered operation.
    Operation {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// Runs a program.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Its environment, beside the worker's.
        env: BTreeMap<String, String>,
        /// Its input.
        stdin: Stdin,
        /// Files written into its folder: name and text.
        files: BTreeMap<String, String>,
        /// Files written into its folder: name and the task whose result it is.
        inputs: BTreeMap<String, Source>,
    },
}

/// One argument of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// Itself.
    Literal(Value),
    /// The own index in the task array.
    Index,
    /// A result.
    From(Source),
}

/// Input of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Stdin {
    /// None.
    Empty,
    /// A text.
    Text(String),
    /// A result.
    From(Source),
}

/// A task's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The task.
    pub task: String,
    /// Which of its members.
    pub member: Member,
}

/// Which member of a task's results is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// The task is no array: its one result.
    One,
    /// The member at the same place as the reader in its own array, which is as long.
    Same,
    /// The member at this place, counted from 0 whatever the array's first index is.
    At(u32),
    /// All members, as a list.
    All,
}
