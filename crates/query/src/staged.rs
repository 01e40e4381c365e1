//! A query as the scheduler runs it.

use std::fmt::Write as _;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use dasklet_client::TASK_BYTES;

use crate::error::QueryError;

/// What the list of a task's inputs may take beside its stage.
const ROOM_FOR_INPUTS: usize = 64 << 10;

/// What a statement asks for.
#[derive(Debug, Clone)]
pub enum Planned {
    /// Rows.
    Query(StagedQuery),
    /// How a query would be run (`EXPLAIN`): its plans and its stages, in words.
    Explanation(String),
}

/// A query cut into stages, in an order where each comes after those that it reads.
#[derive(Debug, Clone)]
pub struct StagedQuery {
    /// The stages.
    pub stages: Vec<Stage>,
    /// The stages whose outputs are the result, to be read one after the other, each in the order
    /// of its tasks.
    pub result: Vec<usize>,
    pub(crate) schema: SchemaRef,
}

/// One stage: a task array in which each task runs one partition of a part of the plan.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What a task runs, for [`crate::worker::run_stage`].
    pub body: Bytes,
    /// Length of the task array.
    pub tasks: u32,
    /// What each task reads, in the order in which `run_stage` wants it.
    pub inputs: Vec<StageInput>,
    /// How many outputs each task has: one for each partition of the stage that reads them.
    pub outputs: u32,
    /// False where running a task again may give other rows, or the same in other outputs.
    pub deterministic: bool,
    /// What the stage does, in a few words.
    pub name: String,
    /// What the stage does: its part of the plan.
    pub explain: String,
}

/// What every task of a stage reads from an earlier stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StageInput {
    /// The earlier stage.
    pub stage: usize,
    /// Which of its outputs.
    pub kind: InputKind,
}

/// Which outputs of an earlier stage a task reads, always from all of that stage's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// The output with the number of the reading task's own index.
    MyIndex,
    /// Output 0, which is the only one.
    All,
}

impl StagedQuery {
    /// The stages, one after the other, in words.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for (number, stage) in self.stages.iter().enumerate() {
            let tasks = if stage.tasks == 1 { "task" } else { "tasks" };
            let _ = write!(text, "stage {number}: {}: {} {tasks}", stage.name, stage.tasks);
            if stage.outputs > 1 {
                let _ = write!(text, " of {} outputs", stage.outputs);
            }
            for input in &stage.inputs {
                let which = match input.kind {
                    InputKind::MyIndex => "a slice",
                    InputKind::All => "all",
                };
                let _ = write!(text, ", reads {which} of stage {}", input.stage);
            }
            if !stage.deterministic {
                text.push_str(", not deterministic");
            }
            text.push('\n');
            for line in stage.explain.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// Refuses a stage whose part of the plan is too long to travel with its tasks.
    pub(crate) fn check_size(&self) -> Result<(), QueryError> {
        let is_long = |stage: &&Stage| stage.body.len() > TASK_BYTES - ROOM_FOR_INPUTS;
        match self.stages.iter().enumerate().find(|(_, stage)| is_long(stage)) {
            None => Ok(()),
            Some((number, stage)) => Err(QueryError::Sql(format!(
                "stage {number} ({}) takes {} bytes to describe, more than the {TASK_BYTES} that \
                 travel with a task: its tables have too many files to list; put their rows into \
                 fewer files, or split the query",
                stage.name,
                stage.body.len()
            ))),
        }
    }

    /// The names of the result's columns.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// All tasks of all stages.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.stages.iter().map(|stage| u64::from(stage.tasks)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn a_stage_that_is_too_long_is_named() {
        let stage = |bytes| Stage {
            body: Bytes::from(vec![0; bytes]),
            tasks: 1,
            inputs: Vec::new(),
            outputs: 1,
            deterministic: true,
            name: "scan flights".to_owned(),
            explain: String::new(),
        };
        let query = |bytes| StagedQuery {
            stages: vec![stage(100), stage(bytes)],
            result: vec![1],
            schema: Arc::new(Schema::empty()),
        };
        assert!(query(1 << 20).check_size().is_ok());
        let error = query(TASK_BYTES).check_size().unwrap_err().to_string();
        assert!(
            error.contains("stage 1 (scan flights)") && error.contains("fewer files"),
            "{error}"
        );
    }
}
