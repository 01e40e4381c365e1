//! `dasklet get`: what a scheduler knows of its workers, tasks and jobs.

use std::{io::IsTerminal, time::Duration};

use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use dasklet_core::{
    JobProgress,
    demand::{Member, MemberState},
    quantity::human_bytes,
};
use dasklet_scheduler::state::TaskState;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{At, Output, columns, print, print_json};
use crate::{exit::Failure, http::Http, interrupt::Interrupt};

const PATIENCE: Duration = Duration::from_secs(10);
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What to list.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// The workers: state, load, memory.
    #[value(alias = "worker", alias = "members")]
    Workers,
    /// The tasks that the scheduler knows, by their ids.
    #[value(alias = "task")]
    Tasks,
    /// The jobs and how far they are.
    #[value(alias = "job")]
    Jobs,
}

/// A state of tasks as it is typed, with what it means.
fn state_value(state: TaskState) -> PossibleValue {
    let value = PossibleValue::new(state.name());
    match state {
        TaskState::Waiting => value.help("For other tasks"),
        TaskState::Ready => value.help("For a free worker"),
        TaskState::Assigned => {
            value.alias("running").help("Handed to a worker: running, or about to")
        }
        TaskState::Delayed => value.help("Until its next attempt"),
        TaskState::Done => value.help("Its output is kept"),
        TaskState::Released => value.help("Done, and its output dropped since nobody needs it"),
        TaskState::Failed => value.help("It has no attempts left, or needs a task that failed"),
        TaskState::Cancelled => value.help("Nobody wanted it any more"),
    }
}

fn state_parser() -> impl TypedValueParser<Value = TaskState> {
    PossibleValuesParser::new(TaskState::ALL.map(state_value)).try_map(|name| {
        let typed = |state: &TaskState| state_value(*state).matches(&name, false);
        TaskState::ALL.into_iter().find(typed).ok_or("no such state")
    })
}

/// Lists workers, tasks or jobs of a scheduler.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet get workers
  dasklet get workers --watch
  dasklet get tasks --state assigned --http http://127.0.0.1:8787
  dasklet get jobs --output json")]
pub struct Get {
    /// What to list
    pub kind: Kind,
    #[command(flatten)]
    at: At,
    /// Only tasks in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<TaskState>,
    /// At most so many tasks
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Show it again every second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Runs the command.
pub async fn run(get: Get) -> Result<(), Failure> {
    let http = get.at.http()?;
    if !get.watch {
        return print(&show(&get, &http).await?);
    }
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::no_cluster(format!("cannot listen for signals: {error}")))?;
    let clears = get.output == Output::Table && std::io::stdout().is_terminal();
    let watching = async {
        loop {
            let shown = show(&get, &http).await?;
            print(&if clears { format!("{CLEAR}{shown}") } else { shown })?;
            tokio::time::sleep(WATCH_EVERY).await;
        }
    };
    tokio::select! {
        ended = watching => ended,
        () = interrupt.asked() => Ok(()),
    }
}

async fn show(get: &Get, http: &Http) -> Result<String, Failure> {
    let path = match (get.kind, get.state) {
        (Kind::Workers, _) => "/api/v1/members".to_owned(),
        (Kind::Jobs, _) => "/api/v1/jobs".to_owned(),
        (Kind::Tasks, None) => format!("/api/v1/tasks?limit={}", get.limit),
        (Kind::Tasks, Some(state)) => {
            format!("/api/v1/tasks?limit={}&state={}", get.limit, state.name())
        }
    };
    let answer: Value = http.get(&path, PATIENCE).await.map_err(Failure::no_cluster)?;
    if get.output == Output::Json {
        return print_json(&answer);
    }
    match get.kind {
        Kind::Workers => read::<Vec<Member>>(answer).map(|members| workers(&members)),
        Kind::Jobs => read(answer).map(|Jobs { jobs }| job_table(&jobs)),
        Kind::Tasks => read(answer).map(|tasks| task_table(&tasks)),
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::no_cluster(format!("the scheduler is of another version: {error}"))
    })
}

fn workers(members: &[Member]) -> String {
    if members.is_empty() {
        return "no workers\n".to_owned();
    }
    let rows = members.iter().map(|member| {
        let state = match member.state {
            MemberState::Serving => "serving",
            MemberState::Paused => "paused",
            MemberState::Draining => "draining",
            MemberState::Drained => "drained",
        };
        vec![
            member.name.clone(),
            member.group.clone(),
            state.to_owned(),
            member.running.to_string(),
            format!("{} of {}", human_bytes(member.memory_used), human_bytes(member.memory_limit)),
            human_bytes(member.bytes_stored),
            human_bytes(member.bytes_spilled),
            format!("{:.0} s", member.idle_seconds),
        ]
    });
    columns(&["NAME", "GROUP", "STATE", "TASKS", "MEMORY", "STORED", "SPILLED", "IDLE"], rows)
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    progress: JobProgress,
}

fn job_table(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs: those that have ended are forgotten with their sessions\n".to_owned();
    }
    let rows = jobs.iter().map(|Job { id, name, progress: p }| {
        let counts = [p.running, p.ready, p.waiting, p.failed, p.cancelled, p.recomputed]
            .map(|n| n.to_string());
        let mut row = vec![id.to_string(), name.clone(), format!("{} of {}", p.done, p.total)];
        row.extend(counts);
        row
    });
    let header =
        ["ID", "NAME", "DONE", "RUNNING", "READY", "WAITING", "FAILED", "CANCELLED", "RECOMPUTED"];
    columns(&header, rows)
}

#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
    next: Option<u64>,
}

/// What a list says of a task.
#[derive(Deserialize)]
struct Task {
    id: String,
    key: String,
    job: String,
    state: String,
    worker: String,
    nbytes: u64,
    attempts: u32,
}

fn task_table(Tasks { tasks, next }: &Tasks) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let rows = tasks.iter().map(|task| {
        vec![
            task.id.clone(),
            task.key.clone(),
            task.job.clone(),
            task.state.clone(),
            task.worker.clone(),
            human_bytes(task.nbytes),
            task.attempts.to_string(),
        ]
    });
    let mut text = columns(&["ID", "KEY", "JOB", "STATE", "WORKER", "SIZE", "ATTEMPTS"], rows);
    if next.is_some() {
        text.push_str("There may be more: raise --limit, or choose a --state.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        get: Get,
    }

    #[test]
    fn every_state_of_the_scheduler_can_be_asked_for() {
        let state = |name: &str| {
            Line::try_parse_from(["get", "tasks", "--state", name]).map(|line| line.get.state)
        };
        for known in TaskState::ALL {
            assert_eq!(state(known.name()).unwrap(), Some(known));
        }
        assert_eq!(state("running").unwrap(), Some(TaskState::Assigned));
        let refusal = state("lost").unwrap_err().to_string();
        assert!(refusal.contains("waiting, ready, assigned"), "{refusal}");
    }
}
