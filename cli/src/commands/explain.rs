//! `dasklet explain`: why a task does not run.

use std::{fmt, time::Duration};

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::{At, Output, print, print_json};
use crate::{
    exit::Failure,
    http::{Http, HttpError},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Tasks and workers that the text names.
const MOST_SHOWN: usize = 10;

/// Says how a task stands and, if it waits, what blocks it: for each worker and resource.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet explain train               the only task of this name, in whatever job
  dasklet explain model/train         by its key
  dasklet explain 'cube[7]'           member 7 of a task array
  dasklet explain 12.7                by its id")]
pub struct Explain {
    /// The task: its name, key or id, as `dasklet get tasks` shows them
    task: String,
    #[command(flatten)]
    at: At,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// What the scheduler says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    task: Task,
    reasons: Vec<String>,
    waits_for: Vec<Task>,
    workers: Vec<Worker>,
    attempts: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    key: String,
    job: String,
    state: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Worker {
    worker: String,
    fits: bool,
    blocked_by: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
}

/// Runs the command.
pub async fn run(explain: Explain) -> Result<(), Failure> {
    let http = explain.at.http()?;
    let answer = match ask(&http, &explain.task).await? {
        Some(answer) => answer,
        None => by_short_name(&http, &explain.task).await?,
    };
    match explain.output {
        Output::Json => print(&print_json(&answer)?),
        Output::Table => {
            let explanation: Explanation = serde_json::from_value(answer).map_err(|error| {
                Failure::no_cluster(format!("the scheduler is of another version: {error}"))
            })?;
            print(&explanation.to_string())
        }
    }
}

/// The scheduler's explanation; `None` if it knows no such task.
async fn ask(http: &Http, task: &str) -> Result<Option<Value>, Failure> {
    let path = format!("/api/v1/explain/{}", percent_encode(task));
    match http.get(&path, PATIENCE).await {
        Ok(answer) => Ok(Some(answer)),
        Err(HttpError::Refused { status, .. }) if status.as_u16() == 404 => Ok(None),
        Err(error) => Err(Failure::no_cluster(error)),
    }
}

/// The explanation of the only task whose key is `name` after the name of its job.
async fn by_short_name(http: &Http, name: &str) -> Result<Value, Failure> {
    let Tasks { tasks } =
        http.get("/api/v1/tasks?limit=1000", PATIENCE).await.map_err(Failure::no_cluster)?;
    let found: Vec<&Task> = tasks.iter().filter(|task| task.is_called(name)).collect();
    let answer = match found[..] {
        [only] => ask(http, &only.id).await?,
        [] => None,
        _ => {
            let keys: Vec<&str> = found.iter().take(10).map(|task| task.key.as_str()).collect();
            return Err(Failure::failed(format!(
                "several tasks are called '{name}': choose one by its key: {}",
                keys.join(", ")
            )));
        }
    };
    answer.ok_or_else(|| {
        Failure::failed(format!(
            "no task '{name}' is known to the scheduler: it may be finished and released; \
             `dasklet get tasks` lists those that are known"
        ))
    })
}

impl Task {
    fn is_called(&self, name: &str) -> bool {
        self.key.rsplit_once('/').is_some_and(|(_, short)| short == name)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.key.is_empty() { "(no key)" } else { &self.key };
        write!(f, "{name} (task {}, job {}): {}", self.id, self.job, self.state)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.task)?;
        for reason in &self.reasons {
            writeln!(f, "  {reason}")?;
        }
        for source in self.waits_for.iter().take(MOST_SHOWN) {
            writeln!(f, "  waits for  {source}")?;
        }
        write_hidden(f, self.waits_for.len())?;
        for Worker { worker, fits, blocked_by } in self.workers.iter().take(MOST_SHOWN) {
            let why = if *fits { "could take it".to_owned() } else { blocked_by.join("; ") };
            writeln!(f, "  worker     {worker}: {why}")?;
        }
        write_hidden(f, self.workers.len())?;
        for attempt in &self.attempts {
            writeln!(f, "  attempted  {attempt}")?;
        }
        Ok(())
    }
}

/// How many of `all` are not shown.
fn write_hidden(f: &mut fmt::Formatter<'_>, all: usize) -> fmt::Result {
    match all.checked_sub(MOST_SHOWN) {
        None | Some(0) => Ok(()),
        Some(hidden) => writeln!(f, "             and {hidden} more (--output json has them)"),
    }
}

/// Escapes what has a meaning of its own in a URL's path.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_reads_as_lines() {
        let answer = serde_json::json!({
            "task": {"id": "4.0", "key": "model/train", "job": "model", "state": "ready"},
            "reasons": ["no worker offers GPU 1"],
            "waitsFor": [],
            "workers": [{"worker": "a", "fits": false, "blockedBy": ["it offers GPU 0 of 1"]}],
            "attempts": [],
        });
        let explanation: Explanation = serde_json::from_value(answer).unwrap();
        assert!(explanation.task.is_called("train"));
        assert_eq!(
            explanation.to_string(),
            "model/train (task 4.0, job model): ready\n  no worker offers GPU 1\n  \
             worker     a: it offers GPU 0 of 1\n"
        );
    }

    #[test]
    fn names_are_safe_in_a_path() {
        assert_eq!(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
    }
}
