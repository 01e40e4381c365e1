//! How a job went, and what it gave: as text and as JSON.

use serde::Serialize;
use serde_json::Value;

use crate::commands::columns;

/// A value longer than this is cut where people read it.
const MOST_CHARACTERS: usize = 500;

/// A job's end.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// The job.
    pub job: String,
    /// Its cluster.
    pub cluster: String,
    /// It went well.
    pub succeeded: bool,
    /// Attempts it took.
    pub attempts: u32,
    /// Seconds it took.
    pub seconds: f64,
    /// Tasks that ended well.
    pub done: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Runs that repeated work whose outputs were lost.
    pub recomputed: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it gave.
    #[serde(flatten)]
    pub results: Results,
}

/// What a job gave.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Results {
    /// Nothing.
    Nothing {},
    /// Results of tasks.
    Tasks {
        /// One for each task whose result is shown.
        results: Vec<TaskResult>,
    },
    /// Rows of a query.
    Rows {
        /// Names of the columns.
        columns: Vec<String>,
        /// Each an object.
        rows: Value,
        /// As people read them.
        #[serde(skip)]
        text: String,
    },
    /// Rows of a query, written to a file or to a folder.
    Written {
        /// Where.
        written: String,
    },
    /// How a query would be run.
    Explained {
        /// Its plans and its stages.
        explanation: String,
    },
}

impl Default for Results {
    fn default() -> Self {
        Self::Nothing {}
    }
}

/// One task's result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// The task.
    pub task: String,
    /// How many members it has, if it is an array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// Its value; of an array, those of the first members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl JobReport {
    /// What people read when the job has ended; errors are told elsewhere.
    pub fn text(&self) -> String {
        match &self.results {
            Results::Nothing {} => String::new(),
            Results::Rows { text, .. } => text.clone(),
            Results::Written { written } => format!("{written}\n"),
            Results::Explained { explanation } => explanation.clone(),
            Results::Tasks { results } => task_table(results),
        }
    }

    /// The job's error, if it has failed.
    pub fn complaint(&self) -> Option<String> {
        let error = self.error.as_ref().filter(|_| !self.succeeded)?;
        Some(format!("job {} failed: {error}", self.job))
    }
}

fn task_table(results: &[TaskResult]) -> String {
    let has_arrays = results.iter().any(|result| result.members.is_some());
    let rows = results.iter().map(|result| {
        let value = match (&result.value, &result.error) {
            (_, Some(_)) => "failed".to_owned(),
            (Some(value), None) => shown(value, result.members),
            (None, None) => String::new(),
        };
        if has_arrays {
            let members = result.members.map_or(String::new(), |members| members.to_string());
            vec![result.task.clone(), members, value]
        } else {
            vec![result.task.clone(), value]
        }
    });
    if has_arrays {
        columns(&["TASK", "MEMBERS", "RESULT"], rows)
    } else {
        columns(&["TASK", "RESULT"], rows)
    }
}

fn shown(value: &Value, members: Option<u32>) -> String {
    let mut text = match (value, members) {
        (Value::Array(values), Some(members)) => {
            let first: Vec<String> = values.iter().take(10).map(plain).collect();
            if first.iter().all(String::is_empty) {
                return String::new();
            }
            let more = if (first.len() as u64) < u64::from(members) { ", ..." } else { "" };
            format!("{}{more}", first.join(", "))
        }
        (value, _) => plain(value),
    };
    if let Some((at, _)) = text.char_indices().nth(MOST_CHARACTERS) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim_end().to_owned(),
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_read_as_a_table() {
        let result = |task: &str, members, value| TaskResult {
            task: task.to_owned(),
            members,
            value: Some(value),
            error: None,
        };
        let text = task_table(&[
            result("greet", None, json!("hello\n")),
            result("cube", Some(20), json!((0..20).collect::<Vec<u32>>())),
        ]);
        assert!(text.contains("hello"), "{text}");
        assert!(text.contains("0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."), "{text}");
    }
}
