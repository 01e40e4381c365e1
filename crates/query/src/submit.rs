//! Running a query on a cluster: one task array for each stage.

use dasklet_client::{Dep, Graph, Job, Node, TaskSpec};

use crate::{
    error::QueryError,
    output::QueryResult,
    staged::{InputKind, Stage, StagedQuery},
};

/// Further attempts at a stage's task after a passing condition, such as a store that did not
/// answer.
const RETRIES: u32 = 3;

/// Runs a query as tasks of `job`, and fetches its result. How far it is, the job's progress says.
///
/// # Errors
/// When a task failed for good, or the session ended.
pub async fn run(job: &Job, query: &StagedQuery) -> Result<QueryResult, QueryError> {
    let mut graph = Graph::new();
    let mut nodes: Vec<Node> = Vec::with_capacity(query.stages.len());
    for (number, stage) in query.stages.iter().enumerate() {
        // What comes later consumes what was made: it goes first when it can.
        let order = u32::try_from(query.stages.len() - number).unwrap_or(u32::MAX);
        let spec = task_of(stage, &nodes).order(order);
        nodes.push(graph.add_array(spec, stage.tasks));
    }
    let result: Vec<Node> = query.result.iter().map(|stage| nodes[*stage]).collect();
    let submitted = job.submit_graph(&graph, &result)?;
    let mut parts = Vec::new();
    for node in result {
        // Types of values do not matter: a stage's output is bytes.
        parts.extend(submitted.array::<()>(node)?.gather_bytes().await?);
    }
    QueryResult::of_parts(query, parts)
}

fn task_of(stage: &Stage, earlier: &[Node]) -> TaskSpec {
    let mut spec = TaskSpec::stage(stage.body.clone()).outputs(stage.outputs).retries(RETRIES);
    if !stage.deterministic {
        spec = spec.not_deterministic();
    }
    stage.inputs.iter().fold(spec, |spec, input| {
        let all = Dep::all(earlier[input.stage]);
        spec.dep(match input.kind {
            InputKind::MyIndex => all.my_index(),
            InputKind::All => all,
        })
    })
}
