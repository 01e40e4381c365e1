//! Any format's files, with errors that say which file is wrong: a source around DataFusion's own,
//! which is left to read.

use std::{fmt, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    datasource::physical_plan::{FileOpener, FileScanConfig, FileSource},
    physical_expr::projection::ProjectionExprs,
    physical_plan::{DisplayFormatType, PhysicalExpr, metrics::ExecutionPlanMetricsSet},
};
use datafusion_datasource::{
    PartitionedFile, TableSchema,
    morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer},
    projection::SplitProjection,
};
use futures::{StreamExt, stream::BoxStream};
use object_store::ObjectStore;

use crate::file_fault::{FileKind, FilePlace};

/// A source as it is on a worker, where no plan is changed any more.
#[derive(Clone)]
pub(crate) struct NamedFiles(Arc<dyn FileSource>);

impl NamedFiles {
    /// The same source; its errors name their files.
    pub(crate) const fn around(source: Arc<dyn FileSource>) -> Self {
        Self(source)
    }

    /// What decides how an error of these files is looked into.
    fn kind(&self, config: &FileScanConfig) -> FileKind {
        match self.0.file_type() {
            "json" => {
                let schema = self.table_schema().file_schema();
                let columns = match self.projection() {
                    Some(projection) => SplitProjection::new(schema, projection).file_indices,
                    None => (0..schema.fields().len()).collect(),
                };
                let columns =
                    schema.project(&columns).map_or_else(|_| Arc::clone(schema), Arc::new);
                FileKind::Json { compression: config.file_compression_type, columns }
            }
            "parquet" => FileKind::Parquet,
            _ => FileKind::Other,
        }
    }
}

impl FileSource for NamedFiles {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.0.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let inner = self.0.create_morselizer(Arc::clone(&store), config, partition)?;
        let folder = config.object_store_url.as_str().to_owned();
        Ok(Box::new(NamedMorselizer { inner, store, folder, kind: self.kind(config) }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self(self.0.with_batch_size(batch_size)))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        self.0.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.0.supports_repartitioning()
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.0.reorder_files(files)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }

    fn try_to_proto(
        &self,
        base: &FileScanConfig,
        context: &datafusion::physical_plan::proto::ExecutionPlanEncodeCtx<'_>,
    ) -> Result<Option<datafusion_proto::protobuf::PhysicalPlanNode>> {
        self.0.try_to_proto(base, context)
    }
}

#[derive(Debug)]
struct NamedMorselizer {
    inner: Box<dyn Morselizer>,
    store: Arc<dyn ObjectStore>,
    folder: String,
    kind: FileKind,
}

impl Morselizer for NamedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let place = Arc::new(FilePlace::new(
            Arc::clone(&self.store),
            &self.folder,
            file.object_meta.location.clone(),
            self.kind.clone(),
        ));
        let inner = self.inner.plan_file(file).map_err(|error| place.name_it(error))?;
        Ok(Box::new(NamedPlanner { inner, place }))
    }
}

#[derive(Debug)]
struct NamedPlanner {
    inner: Box<dyn MorselPlanner>,
    place: Arc<FilePlace>,
}

impl NamedPlanner {
    fn boxed(inner: Box<dyn MorselPlanner>, place: &Arc<FilePlace>) -> Box<dyn MorselPlanner> {
        Box::new(Self { inner, place: Arc::clone(place) })
    }
}

impl MorselPlanner for NamedPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let place = self.place;
        let Some(mut plan) = self.inner.plan().map_err(|error| place.name_it(error))? else {
            return Ok(None);
        };
        let morsels = plan.take_morsels().into_iter().map(|inner| -> Box<dyn Morsel> {
            Box::new(NamedMorsel { inner, place: Arc::clone(&place) })
        });
        let planners =
            plan.take_ready_planners().into_iter().map(|inner| NamedPlanner::boxed(inner, &place));
        let mut named =
            MorselPlan::new().with_morsels(morsels.collect()).with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            named.set_pending_planner(async move {
                match pending.await {
                    Ok(inner) => Ok(NamedPlanner::boxed(inner, &place)),
                    Err(error) => Err(place.locate(error).await),
                }
            });
        }
        Ok(Some(named))
    }
}

#[derive(Debug)]
struct NamedMorsel {
    inner: Box<dyn Morsel>,
    place: Arc<FilePlace>,
}

impl Morsel for NamedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch, DataFusionError>> {
        let place = self.place;
        self.inner
            .into_stream()
            .then(move |batch| {
                let place = Arc::clone(&place);
                async move {
                    match batch {
                        Ok(batch) => Ok(batch),
                        Err(error) => Err(place.locate(error).await),
                    }
                }
            })
            .boxed()
    }
}
