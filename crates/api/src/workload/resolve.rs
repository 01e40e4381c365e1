//! From a workload as it is written to the workload that is meant.

use std::collections::HashSet;

use super::{
    graph,
    spec::{TableFormat, TaskEntry, WorkloadSpec},
    task_entry::Reader,
    task_names::Names,
    typed::{SqlWorkload, Table, Workload, WorkloadTask},
};
use crate::validate::Problem;

impl WorkloadSpec {
    /// Checks everything, and fills in the defaults.
    ///
    /// # Errors
    /// All problems found, with paths from this workload on.
    pub fn resolve(&self) -> Result<Workload, Vec<Problem>> {
        match (&self.sql, &self.tasks) {
            (Some(_), Some(_)) => Err(vec![Problem::new(
                "tasks",
                "a workload has either 'sql' or 'tasks', not both: make two jobs of it",
            )]),
            (None, None) => {
                Err(vec![Problem::new("", "a workload needs 'sql' (with 'tables') or 'tasks'")])
            }
            (Some(sql), None) => self.resolve_sql(sql),
            (None, Some(tasks)) => self.resolve_tasks(tasks),
        }
    }

    fn resolve_sql(&self, sql: &str) -> Result<Workload, Vec<Problem>> {
        let mut problems = Vec::new();
        if sql.trim().is_empty() {
            problems.push(Problem::new("sql", "the query is empty"));
        }
        let mut tables = Vec::new();
        for (name, table) in self.tables.iter().flatten() {
            let path = format!("tables.{name}");
            if table.path.trim().is_empty() {
                problems.push(Problem::new(format!("{path}.path"), "the path is empty"));
            }
            let Some(format) = table.format.or_else(|| TableFormat::of_path(&table.path)) else {
                problems.push(unknown_format(&path, &table.path));
                continue;
            };
            tables.push(Table {
                name: name.clone(),
                path: table.path.clone(),
                format,
                options: table.options.clone().unwrap_or_default(),
            });
        }
        if let Some(output) = &self.output
            && output.format.is_none()
            && TableFormat::of_path(&output.path).is_none()
        {
            problems.push(unknown_format("output", &output.path));
        }
        if problems.is_empty() {
            let (sql, output) = (sql.to_owned(), self.output.clone());
            Ok(Workload::Sql(SqlWorkload { tables, sql, output }))
        } else {
            Err(problems)
        }
    }

    fn resolve_tasks(&self, entries: &[TaskEntry]) -> Result<Workload, Vec<Problem>> {
        let mut problems = Vec::new();
        for (field, given) in [("tables", self.tables.is_some()), ("output", self.output.is_some())]
        {
            if given {
                let message = format!("'{field}' belongs to 'sql'; a workload of tasks has none");
                problems.push(Problem::new(field, message));
            }
        }
        if entries.is_empty() {
            problems.push(Problem::new("tasks", "there is no task"));
        }
        let names = Names::of(entries, &mut problems);
        let mut tasks: Vec<WorkloadTask> = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            let mut reader = Reader { entry, position, names: &names, problems: &mut problems };
            tasks.push(reader.task());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        mark_results(entries, &mut tasks);
        let order = graph::order(&names.dependencies(&tasks)).map_err(|cycle| {
            let first = cycle.first().copied().unwrap_or_default();
            let path: Vec<&str> =
                cycle.iter().chain([&first]).map(|task| entries[*task].name.as_str()).collect();
            vec![Problem::new(
                format!("tasks[{first}]"),
                format!(
                    "the tasks wait for each other: {}; remove one of these dependencies",
                    path.join(" -> ")
                ),
            )]
        })?;
        let mut slots: Vec<Option<WorkloadTask>> = tasks.into_iter().map(Some).collect();
        Ok(Workload::Tasks(order.into_iter().filter_map(|task| slots[task].take()).collect()))
    }
}

fn unknown_format(path: &str, file: &str) -> Problem {
    Problem::new(
        format!("{path}.format"),
        format!("the format of '{file}' is not clear from its name: give csv, parquet or json"),
    )
}

/// A result is shown where no other task reads it, unless the user says otherwise.
fn mark_results(entries: &[TaskEntry], tasks: &mut [WorkloadTask]) {
    let read: HashSet<String> =
        tasks.iter().flat_map(WorkloadTask::sources).map(|source| source.task.clone()).collect();
    for (entry, task) in entries.iter().zip(tasks) {
        task.result = entry.result.unwrap_or_else(|| !read.contains(&task.name));
    }
}
