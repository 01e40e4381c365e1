//! Query stages, as `crates/query` runs them.

use std::sync::OnceLock;

use bytes::Bytes;
use dasklet_core::TaskError;
use dasklet_query::worker::{StageRuntime, run_stage_unless};

use crate::stage::{StageContext, StageInput, StageRunner};

/// Runs stages with DataFusion, which is set up when the first one comes.
#[derive(Debug, Default)]
pub(crate) struct QueryStages {
    runtime: OnceLock<Result<StageRuntime, TaskError>>,
}

impl StageRunner for QueryStages {
    fn run(
        &self,
        stage: &[u8],
        inputs: Vec<StageInput>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Bytes>, TaskError> {
        let runtime = self
            .runtime
            .get_or_init(|| StageRuntime::new(Some(context.memory), context.scratch.join("query")));
        let runtime = runtime.as_ref().map_err(TaskError::clone)?;
        let task = context.task;
        run_stage_unless(stage, task.index(), inputs, runtime, &|| task.is_cancelled())
    }
}
