//! `dasklet explain`: why a task does not run.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{At, Output, print, print_json};
use crate::{exit::Failure, http::HttpError};

/// Says how a task stands and, if it waits, what blocks it: for each worker and resource.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet explain train-model
  dasklet explain 12.7 --http http://127.0.0.1:8787   # member 7 of description 12")]
pub struct Explain {
    /// The task: its name (key), or its number as `dasklet get tasks` shows it
    task: String,
    #[command(flatten)]
    at: At,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
pub async fn run(explain: Explain) -> Result<(), Failure> {
    let path = format!("/api/v1/explain/{}", percent_encode(&explain.task));
    let answer: Value = match explain.at.http().get(&path, Duration::from_secs(10)).await {
        Ok(answer) => answer,
        Err(HttpError::Refused { status, .. }) if status.as_u16() == 404 => {
            return Err(Failure::failed(format!(
                "no task '{}' is known to the scheduler: it may be finished and released; \
                     `dasklet get tasks` lists those that are known",
                explain.task
            )));
        }
        Err(error) => return Err(Failure::no_cluster(error)),
    };
    match explain.output {
        Output::Json => print(&print_json(&answer)?),
        Output::Table => {
            let mut text = String::new();
            write_value(&mut text, &answer, 0);
            print(&text)
        }
    }
}

/// JSON as indented `name: value` lines.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Null => {}
                    Value::Object(_) | Value::Array(_) => {
                        text.push_str(&format!("{indent}{name}:\n"));
                        write_value(text, value, depth + 1);
                    }
                    value => text.push_str(&format!("{indent}{name}: {}\n", plain(value))),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(_) => {
                        let mut inner = String::new();
                        write_value(&mut inner, item, depth + 1);
                        let rest = inner.trim_start();
                        text.push_str(&format!("{indent}- {rest}"));
                    }
                    item => text.push_str(&format!("{indent}- {}\n", plain(item))),
                }
            }
        }
        value => text.push_str(&format!("{indent}{}\n", plain(value))),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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
            "state": "ready",
            "workers": [{"worker": "a", "blocking": ["GPU: asks 1, offers 0"]}],
        });
        let mut text = String::new();
        write_value(&mut text, &answer, 0);
        assert_eq!(
            text,
            "state: ready\nworkers:\n  - worker: a\n    blocking:\n      - GPU: asks 1, offers 0\n"
        );
    }

    #[test]
    fn names_are_safe_in_a_path() {
        assert_eq!(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
    }
}
