//! `dasklet get`: what a scheduler knows of its workers, tasks and jobs.

use std::time::Duration;

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use dasklet_core::{
    demand::{Member, MemberState},
    quantity::human_bytes,
};
use serde_json::Value;

use super::{At, Output, print, print_json};
use crate::{exit::Failure, http::Http};

const PATIENCE: Duration = Duration::from_secs(10);

/// What to list.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// The workers: state, load, memory.
    #[value(alias = "worker", alias = "members")]
    Workers,
    /// The tasks, unfinished ones first.
    #[value(alias = "task")]
    Tasks,
    /// The jobs and how far they are.
    #[value(alias = "job")]
    Jobs,
}

/// Lists workers, tasks or jobs of a scheduler.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet get workers
  dasklet get tasks --state running --http http://127.0.0.1:8787
  dasklet get jobs --output json
  dasklet get workers --watch")]
pub struct Get {
    /// What to list
    pub kind: Kind,
    #[command(flatten)]
    at: At,
    /// Only tasks in this state: waiting, ready, running, done, failed
    #[arg(long)]
    state: Option<String>,
    /// At most so many tasks
    #[arg(long, default_value_t = 100)]
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
    let http = get.at.http();
    loop {
        let shown = show(&get, &http).await?;
        if get.watch && get.output == Output::Table {
            print("\x1b[2J\x1b[H")?;
        }
        print(&shown)?;
        if !get.watch {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn show(get: &Get, http: &Http) -> Result<String, Failure> {
    let path = match get.kind {
        Kind::Workers => "/api/v1/members".to_owned(),
        Kind::Jobs => "/api/v1/jobs".to_owned(),
        Kind::Tasks => match &get.state {
            Some(state) => format!("/api/v1/tasks?limit={}&state={state}", get.limit),
            None => format!("/api/v1/tasks?limit={}", get.limit),
        },
    };
    let answer: Value = http.get(&path, PATIENCE).await.map_err(Failure::no_cluster)?;
    if get.output == Output::Json {
        return print_json(&answer);
    }
    match get.kind {
        Kind::Workers => workers(rows_of(answer, "members")),
        Kind::Jobs => Ok(records(&rows_of(answer, "jobs"), "no jobs")),
        Kind::Tasks => Ok(records(&rows_of(answer, "tasks"), "no tasks")),
    }
}

/// The list in an answer that is one, or that holds one under `name`.
fn rows_of(answer: Value, name: &str) -> Vec<Value> {
    match answer {
        Value::Array(rows) => rows,
        Value::Object(mut fields) => match fields.remove(name) {
            Some(Value::Array(rows)) => rows,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn workers(rows: Vec<Value>) -> Result<String, Failure> {
    let members: Vec<Member> = serde_json::from_value(Value::Array(rows)).map_err(|error| {
        Failure::no_cluster(format!("the scheduler is of another version: {error}"))
    })?;
    if members.is_empty() {
        return Ok("no workers\n".to_owned());
    }
    let mut table = plain_table();
    table.set_header(["NAME", "GROUP", "STATE", "RUNNING", "MEMORY", "STORED", "SPILLED", "IDLE"]);
    for member in &members {
        let state = match member.state {
            MemberState::Serving => "serving",
            MemberState::Paused => "paused",
            MemberState::Draining => "draining",
            MemberState::Drained => "drained",
        };
        table.add_row([
            member.name.clone(),
            member.group.clone(),
            state.to_owned(),
            member.running.to_string(),
            format!("{} of {}", human_bytes(member.memory_used), human_bytes(member.memory_limit)),
            human_bytes(member.bytes_stored),
            human_bytes(member.bytes_spilled),
            format!("{:.0} s", member.idle_seconds),
        ]);
    }
    Ok(format!("{table}\n"))
}

/// A table of JSON records: one column for each field of the first; a nested object's fields
/// are columns of their own.
fn records(rows: &[Value], none: &str) -> String {
    let flat: Vec<Vec<(String, String)>> = rows.iter().map(flatten).collect();
    let Some(first) = flat.first() else { return format!("{none}\n") };
    let mut table = plain_table();
    let names: Vec<&String> = first.iter().map(|(name, _)| name).collect();
    table.set_header(names.iter().map(|name| name.to_uppercase()));
    for row in &flat {
        table.add_row(names.iter().map(|name| {
            row.iter().find(|(other, _)| other == *name).map_or("", |(_, value)| value.as_str())
        }));
    }
    format!("{table}\n")
}

fn flatten(row: &Value) -> Vec<(String, String)> {
    let mut cells = Vec::new();
    if let Value::Object(fields) = row {
        for (name, value) in fields {
            match value {
                Value::Object(inner) => {
                    cells.extend(inner.iter().map(|(name, value)| (name.clone(), cell(value))));
                }
                value => cells.push((name.clone(), cell(value))),
            }
        }
    }
    cells
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
