//! Running a query on a cluster: one task array for each stage.

use std::time::Duration;

use dasklet_client::{Dep, Graph, Job, Node, TaskArray, TaskSpec};

use crate::{
    error::QueryError,
    result::QueryResult,
    staged::{InputKind, Stage, StagedQuery},
};

/// Further attempts at a stage's task after a passing condition, such as a store that did not
/// answer.
const RETRIES: u32 = 3;

/// How often the stages are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageProgress {
    /// What it does, in a few words.
    pub name: String,
    /// Tasks that have ended.
    pub done: u32,
    /// Its tasks.
    pub total: u32,
}

/// Runs a query as tasks of `job`, and fetches its result. `progress` is told how far the stages
/// are, at the beginning and whenever that has changed.
///
/// # Errors
/// When a task failed for good, or the session ended.
pub async fn run(
    job: &Job,
    query: &StagedQuery,
    progress: impl FnMut(&[StageProgress]),
) -> Result<QueryResult, QueryError> {
    let mut graph = Graph::new();
    let mut nodes: Vec<Node> = Vec::with_capacity(query.stages.len());
    for (number, stage) in query.stages.iter().enumerate() {
        // What comes later consumes what was made: it goes first when it can.
        let order = u32::try_from(query.stages.len() - number).unwrap_or(u32::MAX);
        let spec = task_of(stage, &nodes).order(order);
        nodes.push(graph.add_array(spec, stage.tasks));
    }
    let submitted = job.submit_graph(&graph, &nodes)?;
    // Types of values do not matter: a stage's output is bytes.
    let arrays: Vec<TaskArray<()>> =
        nodes.iter().map(|node| submitted.array(*node)).collect::<Result<_, _>>()?;
    drop(submitted);
    let result: Vec<_> = query.result.iter().map(|stage| arrays[*stage].clone()).collect();
    let mut watch = Watch::new(query, arrays, progress);
    let gather = async {
        let mut parts = Vec::new();
        for array in &result {
            parts.extend(array.gather_bytes().await?);
        }
        Ok::<_, QueryError>(parts)
    };
    tokio::pin!(gather);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let parts = loop {
        tokio::select! {
            parts = &mut gather => break parts?,
            _ = ticks.tick() => watch.look(),
        }
    };
    watch.look();
    QueryResult::of_parts(query, parts)
}

/// Looks how far stages are.
///
/// A handle of each stage keeps its outputs until all its tasks have ended. Nothing is kept longer
/// than otherwise: whoever reads a stage reads the outputs of all its tasks.
struct Watch<F> {
    stages: Vec<StageProgress>,
    going: Vec<Option<TaskArray<()>>>,
    tell: F,
    told: bool,
}

impl<F: FnMut(&[StageProgress])> Watch<F> {
    fn new(query: &StagedQuery, arrays: Vec<TaskArray<()>>, tell: F) -> Self {
        let stages = query.stages.iter().map(|stage| StageProgress {
            name: stage.name.clone(),
            done: 0,
            total: stage.tasks,
        });
        let going = arrays.into_iter().map(Some).collect();
        Self { stages: stages.collect(), going, tell, told: false }
    }

    fn look(&mut self) {
        let mut changed = !self.told;
        for (stage, going) in self.stages.iter_mut().zip(&mut self.going) {
            let Some(array) = going else { continue };
            let done = array.ended();
            changed |= done != stage.done;
            stage.done = done;
            if done == stage.total {
                *going = None;
            }
        }
        if changed {
            self.told = true;
            (self.tell)(&self.stages);
        }
    }
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
