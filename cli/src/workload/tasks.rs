//! A graph of tasks from a manifest: submitted, waited for, and its results read.

use std::{collections::HashMap, time::Duration};

use dasklet_api::{Action, Arg, Member, Source, Stdin, WorkloadTask};
use dasklet_client::{
    Args, ClientError, Command, Dep, Graph, Index, Job, Node, TaskArray, TaskSpec,
    argument::{Arg as _, ArgWriter},
};
use serde_json::Value;

use super::{
    groups::{Groups, Handle, is_watched},
    report::TaskResult,
};
use crate::console::JobLine;

/// How often the groups are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Members of a task array whose values are read.
const MOST_MEMBERS: u32 = 1000;
/// The file that holds what a command reads on its standard input, if that is a task's result.
const STDIN_FILE: &str = ".dasklet-stdin";

/// A submitted graph.
pub struct Submitted<'a> {
    /// Tasks whose ends are reported.
    handles: Vec<(&'a WorkloadTask, Handle)>,
    groups: Groups,
}

/// Submits all tasks of a workload under keys that begin with `prefix`; they come in an order in which each follows those that it
/// needs.
///
/// # Errors
/// A value cannot be sent, or the session has ended.
pub fn submit<'a>(
    job: &Job,
    prefix: &str,
    tasks: &'a [WorkloadTask],
) -> Result<Submitted<'a>, ClientError> {
    let mut graph = Graph::new();
    let mut nodes: HashMap<&str, Node> = HashMap::new();
    let mut wanted = Vec::new();
    for task in tasks {
        let spec = describe(prefix, task, &nodes)?;
        let node = match task.array {
            Some(range) => graph.add_array(spec.first_index(range.start), range.len()),
            None => graph.add(spec),
        };
        nodes.insert(&task.name, node);
        let is_reported = task.result || !is_needed(task, tasks);
        if is_reported || is_watched(task, tasks) {
            wanted.push((task, node, is_reported));
        }
    }
    let all: Vec<Node> = wanted.iter().map(|(_, node, _)| *node).collect();
    let submitted = job.submit_graph(&graph, &all)?;
    let (mut handles, mut watched) = (Vec::new(), Vec::new());
    for (task, node, is_reported) in wanted {
        let handle = match task.array {
            Some(_) => Handle::Array(submitted.array(node)?),
            None => Handle::One(submitted.future(node)?),
        };
        if is_reported {
            handles.push((task, handle.clone()));
        }
        watched.push((task, handle));
    }
    Ok(Submitted { handles, groups: Groups::new(watched) })
}

async fn wait_for(handles: &[(&WorkloadTask, Handle)]) -> Result<(), ClientError> {
    for (_, handle) in handles {
        match handle {
            Handle::Array(array) => array.wait_ended().await?,
            Handle::One(future) => match future.wait().await {
                Ok(()) | Err(ClientError::Task(_)) => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(())
}

fn is_needed(task: &WorkloadTask, tasks: &[WorkloadTask]) -> bool {
    tasks.iter().any(|other| {
        other.after.contains(&task.name) || other.sources().any(|source| source.task == task.name)
    })
}

impl Submitted<'_> {
    /// Waits until all have ended, well or not; shows on the way how far their groups are.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn wait(&mut self, line: &JobLine) -> Result<(), ClientError> {
        let ends = wait_for(&self.handles);
        tokio::pin!(ends);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                ended = &mut ends => return ended,
                _ = ticks.tick() => {
                    if let Some(groups) = self.groups.look() {
                        line.stages(groups);
                    }
                }
            }
        }
    }

    /// Reads the results that are to be shown, and the errors of all that failed.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn results(&self) -> Result<Vec<TaskResult>, ClientError> {
        let mut results = Vec::new();
        for (task, handle) in &self.handles {
            let read = match handle {
                Handle::One(future) if task.result => {
                    future.bytes().await.map(|bytes| Some(value_of(&task.action, &bytes)))
                }
                Handle::One(future) => future.wait().await.map(|()| None),
                Handle::Array(array) if task.result => read_members(task, array).await,
                Handle::Array(array) => array.wait().await.map(|()| None),
            };
            let (value, error) = match read {
                Ok(value) => (value, None),
                Err(ClientError::Task(failure)) => (None, Some(failure.to_string())),
                Err(error) => return Err(error),
            };
            if task.result || error.is_some() {
                let members = task.array.map(dasklet_api::IndexRange::len);
                results.push(TaskResult { task: task.name.clone(), members, value, error });
            }
        }
        Ok(results)
    }
}

/// The first members' values; any failed member is an error.
async fn read_members(
    task: &WorkloadTask,
    array: &TaskArray<Value>,
) -> Result<Option<Value>, ClientError> {
    array.wait().await?;
    let mut values = Vec::new();
    for future in array.iter().take(MOST_MEMBERS as usize) {
        values.push(value_of(&task.action, &future.bytes().await?));
    }
    Ok(Some(Value::Array(values)))
}

/// What an output says: text of a command, the value of an operation, or how long it is.
fn value_of(action: &Action, bytes: &[u8]) -> Value {
    let value = match action {
        Action::Command { .. } => String::from_utf8(bytes.to_vec()).ok().map(Value::String),
        Action::Operation { .. } => rmp_serde::from_slice(bytes).ok(),
    };
    value.unwrap_or_else(|| Value::String(format!("<{} bytes>", bytes.len())))
}

fn describe(
    prefix: &str,
    task: &WorkloadTask,
    nodes: &HashMap<&str, Node>,
) -> Result<TaskSpec, ClientError> {
    let mut spec = match &task.action {
        Action::Operation { name, args } => {
            let spec = TaskSpec::op(name, Arguments { args, nodes })?;
            after(task, nodes).try_fold(spec, |spec, dep| Ok::<_, ClientError>(spec.dep(dep?)))?
        }
        Action::Command { .. } => TaskSpec::command(command(task, nodes)?),
    }
    .key(format!("{prefix}/{}", task.name))
    .resources(task.resources.clone())
    .priority(task.priority)
    .retries(task.retries)
    .retry_delay(seconds(task.retry_delay_seconds))
    .workers(task.workers.iter().cloned());
    if let Some(limit) = task.timeout_seconds {
        spec = spec.timeout(seconds(limit));
    }
    if let Some(deaths) = task.max_deaths {
        spec = spec.max_deaths(deaths);
    }
    if !task.idempotent {
        spec = spec.not_idempotent();
    }
    if !task.deterministic {
        spec = spec.not_deterministic();
    }
    Ok(spec)
}

fn command(task: &WorkloadTask, nodes: &HashMap<&str, Node>) -> Result<Command, ClientError> {
    let Action::Command { argv, env, stdin, files, inputs } = &task.action else {
        return Err(ClientError::BadTask(format!("task '{}' is no command", task.name)));
    };
    let mut command = match stdin {
        // The shell connects the file; the program takes the shell's place.
        Stdin::From(source) => {
            let script = format!("exec \"$@\" < {STDIN_FILE}");
            let shell = ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
            Command::new(shell.into_iter().chain(argv.iter().cloned()))
                .input(STDIN_FILE, dependency(source, nodes)?)
        }
        Stdin::Text(text) => Command::new(argv.iter().cloned()).stdin(text.clone()),
        Stdin::Empty => Command::new(argv.iter().cloned()),
    };
    for (name, value) in env {
        command = command.env(name, value);
    }
    for (name, text) in files {
        command = command.file(name, text.clone());
    }
    for (name, source) in inputs {
        command = command.input(name, dependency(source, nodes)?);
    }
    for dep in after(task, nodes) {
        command = command.after(dep?);
    }
    Ok(command)
}

/// What a task waits for and does not read.
fn after<'a>(
    task: &'a WorkloadTask,
    nodes: &'a HashMap<&str, Node>,
) -> impl Iterator<Item = Result<Dep, ClientError>> + 'a {
    task.after.iter().map(|name| node(name, nodes).map(Dep::from))
}

fn dependency(source: &Source, nodes: &HashMap<&str, Node>) -> Result<Dep, ClientError> {
    let node = node(&source.task, nodes)?;
    Ok(match source.member {
        Member::One => Dep::from(node),
        Member::All => Dep::all(node),
        Member::Same => Dep::same_index(node),
        Member::At(index) => Dep::one(node).member(index),
    })
}

fn node(name: &str, nodes: &HashMap<&str, Node>) -> Result<Node, ClientError> {
    nodes
        .get(name)
        .copied()
        .ok_or_else(|| ClientError::BadTask(format!("there is no task '{name}' before this one")))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Arguments of an operation as a manifest writes them.
struct Arguments<'a> {
    args: &'a [Arg],
    nodes: &'a HashMap<&'a str, Node>,
}

impl Args for Arguments<'_> {
    fn write_all(&self, writer: &mut ArgWriter) -> Result<(), ClientError> {
        for arg in self.args {
            match arg {
                Arg::Literal(value) => value.write(writer)?,
                Arg::Index => Index.write(writer)?,
                Arg::From(source) => dependency(source, self.nodes)?.write(writer)?,
            }
        }
        Ok(())
    }
}
