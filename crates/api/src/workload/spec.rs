//! A workload as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::array::IndexRange;
use crate::quantity::Quantity;

/// A workload: `sql` over `tables`, or `tasks`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::rules::workload()))]
pub struct WorkloadSpec {
    /// The image that runs it. Default: the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Tables by the names that `sql` uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 500))]
    pub tables: Option<BTreeMap<String, TableSpec>>,
    /// One query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Where the query's result goes. Default: it is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// A graph of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tasks: Option<Vec<TaskEntry>>,
}

/// Where a table is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::rules::located()))]
pub struct TableSpec {
    /// A file, a folder, or a pattern; local, or a URL.
    #[schemars(length(min = 1, max = 2048))]
    pub path: String,
    /// Default: by the file name's ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// Options of the format, such as `has_header` and `null_value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_map")]
    pub options: Option<BTreeMap<String, Value>>,
}

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::rules::located()))]
pub struct Output {
    /// A file, or a folder of part files (it ends in `/`); local, or a URL.
    #[schemars(length(min = 1, max = 2048))]
    pub path: String,
    /// Default: by the file name's ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// Replace what is there already. Default false: the job fails before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<bool>,
}

/// How rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

impl TableFormat {
    /// By the ending of a file name, a compression's ending apart.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        let path = [".gz", ".bz2", ".xz", ".zst"]
            .iter()
            .find_map(|ending| path.strip_suffix(ending))
            .unwrap_or(&path);
        [
            (".csv", Self::Csv),
            (".tsv", Self::Csv),
            (".parquet", Self::Parquet),
            (".json", Self::Json),
            (".jsonl", Self::Json),
            (".ndjson", Self::Json),
        ]
        .into_iter()
        .find_map(|(ending, format)| path.ends_with(ending).then_some(format))
    }
}

/// One task, or task array, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "x-kubernetes-validations" = crate::rules::task(),
    "allOf" = crate::rules::task_fields()
))]
pub struct TaskEntry {
    /// The task's name, unique in the workload.
    #[schemars(length(min = 1))]
    pub name: String,
    /// A program and its arguments; or `op`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,
    /// A registered operation; or `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub op: Option<String>,
    /// The operation's arguments: literals, `{from: TASK}` for a task's result (a list for a task
    /// array; with `index: same` or `index: N` one member's), `{index: true}` for the own index,
    /// `{value: ...}` for a literal that looks like one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_list")]
    pub args: Option<Vec<Value>>,
    /// Makes it a task array: one task for each index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<IndexRange>,
    /// Names of tasks that have to end well first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// What it asks of a worker. Default: `cpu: 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<BTreeMap<String, Quantity>>,
    /// Further attempts after an error of its own. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Wait before each of them. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub retry_delay_seconds: Option<f64>,
    /// Longest run of one attempt. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::rules::positive_seconds()))]
    pub timeout_seconds: Option<f64>,
    /// The command's environment, beside the worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// The command's input: a text, or `{from: TASK}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::anything")]
    pub stdin: Option<Value>,
    /// Files written into the command's folder: name and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, String>>,
    /// Files written into the command's folder: name and `{from: TASK}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::source_map")]
    pub inputs: Option<BTreeMap<String, Value>>,
    /// Higher ones run first. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// False: never run again once it has started and its end is unknown. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// False: what has read its result runs again when it does. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deterministic: Option<bool>,
    /// How often it may die with its worker. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deaths: Option<u32>,
    /// Names of the workers or groups that may run it. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Vec<String>>,
    /// Whether its result is shown at the end. Default: where no other task reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<bool>,
}
