//! How what a client submits is read, within limits.

use bytes::Bytes;
use dasklet_core::{Key, Resources};
use dasklet_protocol::v1;

use super::{limits, worker_session::resources};
use crate::state::{Dependency, Members, Output, Source, SubmitError, SubmittedTask, TaskOptions};

/// Options and tasks of a submission, ready for the state machine.
pub(super) fn read(
    options: Vec<v1::TaskOptions>,
    tasks: Vec<v1::Task>,
) -> Result<(Vec<TaskOptions>, Vec<SubmittedTask>), SubmitError> {
    let mut options = options.into_iter().map(read_options).collect::<Result<Vec<_>, _>>()?;
    if options.is_empty() {
        options.push(TaskOptions::default());
    }
    let known = options.len();
    let tasks =
        tasks.into_iter().map(|task| read_task(task, known)).collect::<Result<Vec<_>, _>>()?;
    Ok((options, tasks))
}

fn read_options(options: v1::TaskOptions) -> Result<TaskOptions, SubmitError> {
    limits::check(
        "number of workers that a task is restricted to",
        options.workers.len(),
        limits::RESTRICTIONS,
    )?;
    for name in &options.workers {
        limits::check("name of a worker", name.len(), limits::NAME_BYTES)?;
    }
    let default = TaskOptions::default();
    Ok(TaskOptions {
        resources: if options.resources.is_empty() {
            Resources::one_slot()
        } else {
            resources(&options.resources)?
        },
        priority: options.priority,
        retries: options.retries,
        retry_delay_micros: u64::from(options.retry_delay_millis) * 1000,
        timeout_micros: (options.timeout_millis > 0)
            .then(|| options.timeout_millis.saturating_mul(1000)),
        workers: options.workers,
        idempotent: !options.not_idempotent,
        deterministic: !options.not_deterministic,
        max_deaths: if options.max_deaths == 0 { default.max_deaths } else { options.max_deaths },
    })
}

fn read_task(task: v1::Task, options: usize) -> Result<SubmittedTask, SubmitError> {
    let position = task.options;
    if position as usize >= options {
        return Err(SubmitError::Limit(format!(
            "a task names options {position} of a submission that has {options}: correct the client"
        )));
    }
    limits::check("size of a task's description in bytes", task.body.len(), limits::BODY_BYTES)?;
    let outputs = task.outputs.max(1);
    limits::check("number of outputs of a task", outputs as usize, limits::OUTPUTS as usize)?;
    Ok(SubmittedTask {
        key: key(&task.key)?,
        body: task.body[..].into(),
        dependencies: task.deps.into_iter().map(dependency).collect::<Result<Vec<_>, _>>()?,
        options: position,
        array: (task.array > 0).then_some(task.array),
        first_index: task.first_index,
        outputs,
        order: task.order,
        wanted: task.wanted,
    })
}

/// A key, if it is not too long.
pub(super) fn key(bytes: &Bytes) -> Result<Key, SubmitError> {
    limits::check("length of a key in bytes", bytes.len(), limits::KEY_BYTES)?;
    Ok(Key::new(&bytes[..]))
}

fn dependency(dependency: v1::Dependency) -> Result<Dependency, SubmitError> {
    let members = match dependency.mode() {
        v1::DependencyMode::Member => Members::One(dependency.member),
        v1::DependencyMode::SameIndex => Members::SameIndex,
        v1::DependencyMode::All => Members::All,
    };
    let source = match dependency.source {
        None => {
            let sentence = "a dependency names no task: correct the client";
            return Err(SubmitError::Limit(sentence.to_owned()));
        }
        Some(v1::dependency::Source::Local(local)) => Source::Local(local),
        Some(v1::dependency::Source::Key(bytes)) => Source::Key(key(&bytes)?),
    };
    let output = if dependency.output_is_my_index {
        Output::MyIndex
    } else {
        Output::Fixed(dependency.output)
    };
    Ok(Dependency { source, members, output })
}
