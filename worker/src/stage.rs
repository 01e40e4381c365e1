//! The seam through which query stages run, so that the worker knows nothing of queries.

use std::path::Path;

use bytes::Bytes;
use dasklet_core::TaskError;

use crate::TaskContext;

/// Where and with how much a stage runs.
#[derive(Debug)]
pub struct StageContext<'a> {
    /// The task.
    pub task: &'a TaskContext,
    /// A folder of the worker for temporary files, removed when the worker ends.
    pub scratch: &'a Path,
    /// Memory that all stages of the worker together should stay below, in bytes.
    pub memory: u64,
}

/// One dependency of a stage: a single value, or the values of a range in the order of its
/// members.
pub type StageInput = Vec<Bytes>;

/// Runs query stages.
pub trait StageRunner: Send + Sync {
    /// Runs one partition of a stage on the calling thread, and gives the bytes of each output.
    ///
    /// # Errors
    /// Those of the query.
    fn run(
        &self,
        stage: &[u8],
        inputs: Vec<StageInput>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Bytes>, TaskError>;
}
