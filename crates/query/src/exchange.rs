//! The leaf of a plan where a stage reads what earlier stages wrote.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::{
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, LexOrdering, Partitioning},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
        ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};

use crate::slices::SliceReader;

/// Which rows a partition of a [`ShuffleReaderExec`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Take {
    /// Partition i: output i of every task before.
    Mine = 0,
    /// Partition i: the only output of the i-th task before, in its order.
    Each = 1,
    /// The single partition: the only output of every task before, one after the other.
    Together = 2,
}

/// Reads the outputs of the tasks of earlier stages.
#[derive(Debug, Clone)]
pub(crate) struct ShuffleReaderExec {
    /// While planning: stages. Inside a body: positions among the task's inputs.
    pub(crate) from: Vec<usize>,
    pub(crate) take: Take,
    /// The outputs, once they are there: of all the tasks before, in their order.
    slices: Arc<Vec<Bytes>>,
    properties: Arc<PlanProperties>,
}

impl ShuffleReaderExec {
    /// A reader in the place of an exchange with these properties.
    pub(crate) fn standing_for(
        from: Vec<usize>,
        take: Take,
        equivalences: EquivalenceProperties,
        partitioning: Partitioning,
    ) -> Self {
        let properties = PlanProperties::new(
            equivalences,
            partitioning,
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { from, take, slices: Arc::default(), properties: Arc::new(properties) }
    }

    /// A reader on the worker, with its rows.
    pub(crate) fn with_slices(
        from: Vec<usize>,
        take: Take,
        partitions: usize,
        schema: SchemaRef,
        ordering: Option<LexOrdering>,
        slices: Vec<Bytes>,
    ) -> Self {
        let equivalences = EquivalenceProperties::new_with_orderings(schema, ordering);
        let partitioning = Partitioning::UnknownPartitioning(partitions);
        let reader = Self::standing_for(from, take, equivalences, partitioning);
        Self { slices: Arc::new(slices), ..reader }
    }

    fn slices_of(&self, partition: usize) -> Result<Vec<Bytes>> {
        match self.take {
            Take::Mine | Take::Together => Ok(self.slices.to_vec()),
            Take::Each => match self.slices.get(partition) {
                Some(slice) => Ok(vec![slice.clone()]),
                None => Err(DataFusionError::Internal(format!(
                    "input {partition} of {} was asked for",
                    self.slices.len()
                ))),
            },
        }
    }
}

impl DisplayAs for ShuffleReaderExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self.from.iter().map(usize::to_string).collect();
        let stages = stages.join(", ");
        match self.take {
            Take::Mine => write!(f, "ShuffleReaderExec: slices of stage {stages}"),
            Take::Each => write!(f, "ShuffleReaderExec: each task of stage {stages}"),
            Take::Together => write!(f, "ShuffleReaderExec: all of stage {stages}"),
        }
    }
}

impl ExecutionPlan for ShuffleReaderExec {
    fn name(&self) -> &'static str {
        "ShuffleReaderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let rows_of = SchemaRef::clone(&schema);
        let batches = self
            .slices_of(partition)?
            .into_iter()
            .flat_map(move |slice| SliceReader::new(SchemaRef::clone(&rows_of), slice));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches))))
    }
}
