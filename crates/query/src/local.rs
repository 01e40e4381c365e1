//! Running a query's stages one after the other on the calling thread, without a cluster.

use bytes::Bytes;

use crate::{
    error::QueryError,
    result::QueryResult,
    staged::{InputKind, StagedQuery},
    worker::{StageInputData, StageRuntime, run_stage},
};

/// Runs all tasks of all stages here. For tests, and for questions too small for a cluster.
///
/// # Errors
/// When a task fails.
pub fn run_here(query: &StagedQuery, runtime: &StageRuntime) -> Result<QueryResult, QueryError> {
    // outputs[stage][task][output]
    let mut outputs: Vec<Vec<Vec<Bytes>>> = Vec::with_capacity(query.stages.len());
    for stage in &query.stages {
        let mut of_stage = Vec::with_capacity(stage.tasks as usize);
        for index in 0..stage.tasks {
            let inputs = stage.inputs.iter().map(|input| -> StageInputData {
                let output = match input.kind {
                    InputKind::MyIndex => index as usize,
                    InputKind::All => 0,
                };
                outputs[input.stage].iter().map(|task| task[output].clone()).collect()
            });
            of_stage.push(run_stage(&stage.body, index, inputs.collect(), runtime)?);
        }
        outputs.push(of_stage);
    }
    let parts = query.result.iter().flat_map(|stage| &outputs[*stage]);
    QueryResult::of_parts(query, parts.map(|task| task[0].clone()))
}
