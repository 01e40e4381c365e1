//! Running one partition of a stage on a worker.

use std::{
    cell::RefCell,
    future,
    path::PathBuf,
    sync::{Arc, LazyLock},
    task::Poll,
};

use bytes::Bytes;
use dasklet_core::{ErrorClass, TaskError};
use datafusion::{
    common::Result,
    execution::{
        SessionState, SessionStateBuilder, TaskContext,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, MemoryConsumer},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        metrics::Time,
        repartition::{BatchPartitioner, RepartitionExec},
    },
};
use futures::StreamExt;

use crate::{codec, fault, session::planning_config, slices::SliceWriter, stores::Stores};

/// What one input of a stage's task resolves to: the outputs of all tasks of the earlier stage, in
/// the order of their indexes.
pub type StageInputData = Vec<Bytes>;

/// The functions that plans may use, and the connections to object stores: the same for all
/// stages of a process.
struct Shared {
    state: SessionState,
    stores: Arc<Stores>,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared {
    state: SessionStateBuilder::new()
        .with_config(planning_config(1))
        .with_default_features()
        .build(),
    stores: Arc::new(Stores::default()),
});

/// Memory and scratch space for stages. Cheap to make; stages that run with one share its memory.
#[derive(Debug, Clone)]
pub struct StageRuntime {
    runtime: Arc<RuntimeEnv>,
}

impl StageRuntime {
    /// A runtime whose operators take at most `memory_limit` bytes together (absent: no limit)
    /// and spill below `scratch`, which is made when something spills.
    ///
    /// # Errors
    /// When the runtime cannot be set up.
    pub fn new(memory_limit: Option<u64>, scratch: PathBuf) -> Result<Self, TaskError> {
        let disk =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![scratch]));
        let stores = Arc::clone(&SHARED.stores);
        let mut runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .with_object_store_registry(stores);
        if let Some(bytes) = memory_limit {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
        }
        let runtime = runtime.build_arc().map_err(|error| {
            TaskError::worker_fault(format!(
                "the query engine cannot start on this worker: {}",
                fault::sentence(&error)
            ))
        })?;
        Ok(Self { runtime })
    }

    fn context(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&SHARED.state).with_runtime(Arc::clone(&self.runtime)))
    }
}

fn cancelled_error() -> TaskError {
    TaskError::new(ErrorClass::Cancelled, "the task was cancelled")
}

thread_local! {
    /// DataFusion's streams want a runtime for their file reads; each executor thread keeps one.
    static TOKIO: RefCell<Option<tokio::runtime::Runtime>> = const { RefCell::new(None) };
}

/// Blocking reads that a stage may have under way beside its own thread.
const READ_AHEAD_THREADS: usize = 4;

/// Runs task `index` of a stage on the calling thread, until it is done. Returns its outputs.
///
/// Must not be called on a thread that drives an asynchronous runtime.
///
/// # Errors
/// When the stage fails; the class says whether another try may help.
pub fn run_stage(
    body: &[u8],
    index: u32,
    inputs: Vec<StageInputData>,
    runtime: &StageRuntime,
) -> Result<Vec<Bytes>, TaskError> {
    run_stage_unless(body, index, inputs, runtime, &|| false)
}

/// As [`run_stage`], but stops soon after `cancelled` becomes true; it is asked between batches of rows.
///
/// # Errors
/// As [`run_stage`]; of the class `Cancelled` when it was.
pub fn run_stage_unless(
    body: &[u8],
    index: u32,
    inputs: Vec<StageInputData>,
    runtime: &StageRuntime,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Bytes>, TaskError> {
    if cancelled() {
        return Err(cancelled_error());
    }
    TOKIO.with_borrow_mut(|kept| {
        let tokio = match kept {
            Some(tokio) => tokio,
            None => kept.insert(new_tokio()?),
        };
        tokio.block_on(run(body, index, inputs, runtime, cancelled))
    })
}

fn new_tokio() -> Result<tokio::runtime::Runtime, TaskError> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(READ_AHEAD_THREADS)
        .thread_name("stage-io")
        .enable_all()
        .build()
        .map_err(|error| {
            TaskError::worker_fault(format!("the worker cannot start a thread's runtime: {error}"))
        })
}

async fn run(
    body: &[u8],
    index: u32,
    inputs: Vec<StageInputData>,
    runtime: &StageRuntime,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Bytes>, TaskError> {
    let context = runtime.context();
    let failed = |error| fault::task_error(&error);
    let (body, plan) = codec::decode(body, inputs, &context).map_err(failed)?;
    let partition = body.first_partition as usize + index as usize;
    let repartition = plan.downcast_ref::<RepartitionExec>().filter(|_| body.shuffles);
    let (rows, mut writer) = match repartition {
        Some(exchange) => {
            (exchange.input(), Writer::shuffling(exchange, partition, &context).map_err(failed)?)
        }
        None => (&plan, Writer::whole(&plan, &context)),
    };
    if partition >= rows.output_partitioning().partition_count() {
        return Err(TaskError::fatal(format!("the stage has no partition {partition}")));
    }
    let mut batches = rows.execute(partition, context).map_err(failed)?;
    loop {
        // Operators that give no rows for long still yield now and then, and are asked then.
        let next = future::poll_fn(|waker| match cancelled() {
            true => Poll::Ready(Err(cancelled_error())),
            false => batches.poll_next_unpin(waker).map(|batch| batch.transpose().map_err(failed)),
        });
        match next.await? {
            Some(batch) => writer.push(batch).map_err(failed)?,
            None => break,
        }
    }
    writer.finish().map_err(failed)
}

/// Collects a task's outputs.
struct Writer {
    partitioner: Option<BatchPartitioner>,
    outputs: Vec<SliceWriter>,
    memory: datafusion::execution::memory_pool::MemoryReservation,
}

impl Writer {
    fn new(
        plan: &Arc<dyn ExecutionPlan>,
        outputs: usize,
        partitioner: Option<BatchPartitioner>,
        context: &TaskContext,
    ) -> Self {
        let memory = MemoryConsumer::new("outputs of a stage").register(context.memory_pool());
        let outputs = (0..outputs).map(|_| SliceWriter::new(plan.schema())).collect();
        Self { partitioner, outputs, memory }
    }

    fn whole(plan: &Arc<dyn ExecutionPlan>, context: &TaskContext) -> Self {
        Self::new(plan, 1, None, context)
    }

    fn shuffling(
        exchange: &RepartitionExec,
        partition: usize,
        context: &TaskContext,
    ) -> Result<Self> {
        let partitioning = exchange.partitioning().clone();
        let into = partitioning.partition_count();
        let from = exchange.input().output_partitioning().partition_count();
        let partitioner = BatchPartitioner::try_new(partitioning, Time::new(), partition, from)?;
        Ok(Self::new(exchange.input(), into, Some(partitioner), context))
    }

    fn push(&mut self, batch: arrow::array::RecordBatch) -> Result<()> {
        let outputs = &mut self.outputs;
        match &mut self.partitioner {
            Some(partitioner) => {
                partitioner.partition(batch, |to, rows| outputs[to].push(rows))?;
            }
            None => outputs[0].push(batch)?,
        }
        // Outputs cannot be spilled here, the worker's store does that: counting them makes the
        // operators spill before the worker runs out of memory.
        let held = self.outputs.iter().map(SliceWriter::bytes).sum::<usize>();
        self.memory.resize(held);
        Ok(())
    }

    fn finish(self) -> Result<Vec<Bytes>> {
        self.outputs.into_iter().map(SliceWriter::finish).collect()
    }
}
