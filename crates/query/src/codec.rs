//! The body of a stage: its part of the plan as bytes.
//!
//! A stage that shuffles carries a `RepartitionExec` at its root, so that the partitioning's
//! expressions travel as DataFusion writes them; the worker takes it off and partitions itself.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use datafusion::{
    common::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::LexOrdering,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties},
};
use datafusion_proto::{
    bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    },
    physical_plan::{
        PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
        from_proto::parse_physical_sort_exprs, to_proto::serialize_physical_sort_exprs,
    },
    protobuf,
};
use prost::Message;

use crate::{
    exchange::{ShuffleReaderExec, Take},
    scans::{self, ScanDetail},
    staged::{InputKind, StageInput},
};

/// Plans are read only by the version that wrote them.
const ENGINE: &str = concat!(env!("CARGO_PKG_VERSION"), "/datafusion-55.2");

/// A stage as it travels.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StageBody {
    #[prost(string, tag = "1")]
    pub(crate) engine: String,
    /// Task i runs partition `first_partition` + i.
    #[prost(uint32, tag = "2")]
    pub(crate) first_partition: u32,
    /// The root of the plan says how the rows are shuffled.
    #[prost(bool, tag = "3")]
    pub(crate) shuffles: bool,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) plan: Bytes,
    #[prost(message, repeated, tag = "5")]
    pub(crate) scans: Vec<ScanDetail>,
}

/// A [`ShuffleReaderExec`] as it travels.
#[derive(Clone, PartialEq, Message)]
struct ReaderNode {
    #[prost(uint32, repeated, tag = "1")]
    inputs: Vec<u32>,
    #[prost(enumeration = "Take", tag = "2")]
    take: i32,
    #[prost(uint32, tag = "3")]
    partitions: u32,
    #[prost(message, optional, tag = "4")]
    schema: Option<protobuf::Schema>,
    #[prost(message, repeated, tag = "5")]
    ordering: Vec<protobuf::PhysicalSortExprNode>,
}

/// What a reader that takes its rows so asks of the stage before.
pub(crate) const fn input_kind(take: Take) -> InputKind {
    match take {
        Take::Mine => InputKind::MyIndex,
        Take::Each | Take::Together => InputKind::All,
    }
}

/// Writes a stage's body; readers name their stages by their position in `inputs`.
pub(crate) fn encode(
    plan: Arc<dyn ExecutionPlan>,
    first_partition: u32,
    shuffles: bool,
    inputs: &[StageInput],
) -> Result<Bytes> {
    let positions = inputs.iter().enumerate().map(|(at, input)| (*input, at)).collect();
    let codec = Writing { positions };
    let body = StageBody {
        engine: ENGINE.to_owned(),
        first_partition,
        shuffles,
        scans: scans::details(&plan)?,
        plan: physical_plan_to_bytes_with_extension_codec(plan, &codec)?,
    };
    Ok(body.encode_to_vec().into())
}

/// Reads a stage's body and gives its readers their rows.
pub(crate) fn decode(
    body: &[u8],
    inputs: Vec<Vec<Bytes>>,
    context: &TaskContext,
) -> Result<(StageBody, Arc<dyn ExecutionPlan>)> {
    let body = StageBody::decode(body)
        .map_err(|error| DataFusionError::Execution(format!("not the body of a stage: {error}")))?;
    if body.engine != ENGINE {
        return Err(DataFusionError::Execution(format!(
            "the query was planned by version {} and this worker runs {ENGINE}; use the same \
             version on both sides",
            body.engine
        )));
    }
    let codec = Reading { inputs };
    let plan = physical_plan_from_bytes_with_extension_codec(&body.plan, context, &codec)?;
    let plan = scans::restore(plan, &body.scans)?;
    Ok((body, plan))
}

#[derive(Debug)]
struct Writing {
    positions: HashMap<StageInput, usize>,
}

#[derive(Debug)]
struct Reading {
    inputs: Vec<Vec<Bytes>>,
}

fn unknown(node: &str) -> DataFusionError {
    DataFusionError::NotImplemented(format!("{node} cannot be sent to a worker"))
}

impl PhysicalExtensionCodec for Writing {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let reader =
            node.downcast_ref::<ShuffleReaderExec>().ok_or_else(|| unknown(node.name()))?;
        let kind = input_kind(reader.take);
        let inputs = reader.from.iter().map(|stage| {
            self.positions
                .get(&StageInput { stage: *stage, kind })
                .and_then(|at| u32::try_from(*at).ok())
                .ok_or_else(|| DataFusionError::Internal("a stage lacks an input".to_owned()))
        });
        let ordering = match node.output_ordering() {
            Some(ordering) => {
                serialize_physical_sort_exprs(ordering.iter().cloned(), self, converter)?
            }
            None => Vec::new(),
        };
        let travelling = ReaderNode {
            inputs: inputs.collect::<Result<_>>()?,
            take: reader.take.into(),
            partitions: u32::try_from(node.output_partitioning().partition_count())
                .unwrap_or(u32::MAX),
            schema: Some(node.schema().as_ref().try_into()?),
            ordering,
        };
        buffer.extend(travelling.encode_to_vec());
        Ok(())
    }

    fn try_decode(
        &self,
        _buffer: &[u8],
        _inputs: &[Arc<dyn ExecutionPlan>],
        _context: &TaskContext,
        _converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(unknown("a plan that is being written"))
    }
}

impl PhysicalExtensionCodec for Reading {
    fn try_decode(
        &self,
        buffer: &[u8],
        _children: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let node = ReaderNode::decode(buffer)
            .map_err(|error| DataFusionError::Execution(format!("not a reader: {error}")))?;
        let take = node.take();
        let schema = node.schema.as_ref().ok_or_else(|| unknown("a reader without columns"))?;
        let schema = Arc::new(arrow::datatypes::Schema::try_from(schema)?);
        let mut from = Vec::with_capacity(node.inputs.len());
        let mut slices = Vec::new();
        for input in &node.inputs {
            let at = *input as usize;
            let input = self.inputs.get(at).ok_or_else(|| {
                DataFusionError::Execution(format!(
                    "the stage reads input {at}, and was given {}",
                    self.inputs.len()
                ))
            })?;
            slices.extend(input.iter().cloned());
            from.push(at);
        }
        let decoding = PhysicalPlanDecodeContext::new(context, self);
        let ordering = parse_physical_sort_exprs(&node.ordering, &decoding, &schema, converter)?;
        Ok(Arc::new(ShuffleReaderExec::with_slices(
            from,
            take,
            node.partitions as usize,
            schema,
            LexOrdering::new(ordering),
            slices,
        )))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        _buffer: &mut Vec<u8>,
        _converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        Err(unknown(node.name()))
    }
}
