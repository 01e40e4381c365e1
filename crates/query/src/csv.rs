//! Reading CSV files: DataFusion's source, with null values that have a name, and with errors that
//! say which line of which file is wrong.

use std::{fmt, sync::Arc};

use arrow::csv::ReaderBuilder;
use datafusion::{
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    datasource::{
        file_format::file_compression_type::FileCompressionType,
        physical_plan::{CsvSource, FileOpenFuture, FileOpener, FileScanConfig, FileSource},
    },
    physical_expr::projection::ProjectionExprs,
    physical_plan::{DisplayFormatType, PhysicalExpr, metrics::ExecutionPlanMetricsSet},
};
use datafusion_datasource::{
    PartitionedFile, TableSchema,
    boundary_stream::AlignedBoundaryStream,
    decoder::{DecoderDeserializer, deserialize_stream},
    projection::{ProjectionOpener, SplitProjection},
};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt};
use regex::Regex;

use crate::{csv_fault::Piece, file_fault::file_name};

/// DataFusion's CSV source, whose plan it keeps, with a reader of its own.
#[derive(Clone)]
pub(crate) struct NamedCsv {
    plan: CsvSource,
    null_value: Option<String>,
    batch_size: usize,
}

impl NamedCsv {
    /// `plan` as it stands, with fields of the text `null_value` read as null.
    pub(crate) fn new(plan: CsvSource, null_value: Option<String>) -> Self {
        Self { plan, null_value, batch_size: 8192 }
    }

    /// What reads as null, beside the empty field.
    pub(crate) const fn null_value(&self) -> Option<&String> {
        self.null_value.as_ref()
    }

    fn around(&self, plan: &Arc<dyn FileSource>) -> Result<Arc<dyn FileSource>> {
        let plan = plan.downcast_ref::<CsvSource>().ok_or_else(|| {
            DataFusionError::Internal("a CSV source became another kind of source".to_owned())
        })?;
        Ok(Arc::new(Self { plan: plan.clone(), ..self.clone() }))
    }

    fn reader(&self, columns: Vec<usize>, has_header: bool) -> Result<ReaderBuilder> {
        let plan = &self.plan;
        let mut reader = ReaderBuilder::new(Arc::clone(plan.table_schema().file_schema()))
            .with_delimiter(plan.delimiter())
            .with_quote(plan.quote())
            .with_header(has_header)
            .with_batch_size(self.batch_size)
            .with_truncated_rows(plan.truncate_rows())
            .with_projection(columns);
        if let Some(terminator) = plan.terminator() {
            reader = reader.with_terminator(terminator);
        }
        if let Some(escape) = plan.escape() {
            reader = reader.with_escape(escape);
        }
        if let Some(comment) = plan.comment() {
            reader = reader.with_comment(comment);
        }
        if let Some(text) = &self.null_value {
            reader = reader.with_null_regex(null_pattern(text)?);
        }
        Ok(reader)
    }
}

/// Matches the empty field and `text`.
fn null_pattern(text: &str) -> Result<Regex> {
    Regex::new(&null_pattern_text(text))
        .map_err(|error| DataFusionError::Configuration(format!("null_value: {error}")))
}

/// As [`null_pattern`], in the words of a regular expression.
pub(crate) fn null_pattern_text(text: &str) -> String {
    format!("^(?:{})?$", regex::escape(text))
}

impl FileSource for NamedCsv {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let schema = self.plan.table_schema();
        let projection = match self.plan.projection() {
            Some(projection) => SplitProjection::new(schema.file_schema(), projection),
            None => SplitProjection::unprojected(schema),
        };
        let opener = Opener {
            source: self.clone(),
            columns: projection.file_indices.clone(),
            compression: config.file_compression_type,
            store,
            folder: config.object_store_url.as_str().to_owned(),
        };
        ProjectionOpener::try_new(projection, Arc::new(opener), schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        self.plan.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size, ..self.clone() })
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        match self.plan.try_pushdown_projection(projection)? {
            Some(plan) => self.around(&plan).map(Some),
            None => Ok(None),
        }
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.plan.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.plan.metrics()
    }

    fn file_type(&self) -> &str {
        self.plan.file_type()
    }

    fn supports_repartitioning(&self) -> bool {
        self.plan.supports_repartitioning()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt_extra(kind, f)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.plan.apply_expressions(f)
    }

    fn try_to_proto(
        &self,
        base: &FileScanConfig,
        context: &datafusion::physical_plan::proto::ExecutionPlanEncodeCtx<'_>,
    ) -> Result<Option<datafusion_proto::protobuf::PhysicalPlanNode>> {
        self.plan.try_to_proto(base, context)
    }
}

struct Opener {
    source: NamedCsv,
    columns: Vec<usize>,
    compression: FileCompressionType,
    store: Arc<dyn ObjectStore>,
    folder: String,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let start = file.range.as_ref().map_or(0, |range| range.start);
        let has_header = self.source.plan.has_header() && start == 0;
        let reader = self.source.reader(self.columns.clone(), has_header)?;
        let terminator = self.source.plan.terminator().unwrap_or(b'\n');
        let compression = self.compression;
        let store = Arc::clone(&self.store);
        let piece = Piece {
            name: file_name(&self.folder, &file.object_meta.location),
            location: file.object_meta.location.clone(),
            start: u64::try_from(start).unwrap_or(0),
            terminator,
            schema: Arc::clone(self.source.plan.table_schema().file_schema()),
        };
        Ok(Box::pin(async move {
            let batches = match &file.range {
                Some(range) => {
                    let bytes = AlignedBoundaryStream::new(
                        Arc::clone(&store),
                        piece.location.clone(),
                        u64::try_from(range.start).unwrap_or(0),
                        u64::try_from(range.end).unwrap_or(0),
                        file.object_meta.size,
                        terminator,
                    )
                    .await?
                    .map_err(DataFusionError::from);
                    decode(reader, bytes.boxed())
                }
                None => match store.get_opts(&piece.location, GetOptions::default()).await?.payload
                {
                    GetResultPayload::File(local, _) => {
                        let rows = reader.build(compression.convert_read(local)?)?;
                        futures::stream::iter(rows).map_err(DataFusionError::from).boxed()
                    }
                    GetResultPayload::Stream(bytes) => {
                        let bytes = bytes.map_err(DataFusionError::from).boxed();
                        decode(reader, compression.convert_stream(bytes)?)
                    }
                },
            };
            let place = Arc::new((store, piece));
            let located = batches.then(move |batch| {
                let place = Arc::clone(&place);
                async move {
                    match batch {
                        Ok(batch) => Ok(batch),
                        Err(error) => Err(place.1.locate(&*place.0, error).await),
                    }
                }
            });
            Ok(located.boxed())
        }))
    }
}

type Batches = futures::stream::BoxStream<'static, Result<arrow::array::RecordBatch>>;
type Chunks = futures::stream::BoxStream<'static, Result<bytes::Bytes>>;

fn decode(reader: ReaderBuilder, bytes: Chunks) -> Batches {
    let decoder = datafusion::datasource::file_format::csv::CsvDecoder::new(reader.build_decoder());
    deserialize_stream(bytes.fuse(), DecoderDeserializer::new(decoder))
        .map_err(DataFusionError::from)
        .boxed()
}

/// How many bytes are read at once to count lines.
const COUNTED_AT_ONCE: u64 = 8 << 20;

/// How many lines lie wholly before the first that begins at or after `start`.
pub(crate) async fn lines_before(
    store: &dyn ObjectStore,
    location: &object_store::path::Path,
    start: u64,
    terminator: u8,
) -> Result<usize> {
    let mut lines = 0;
    let mut last = terminator;
    let mut from = 0;
    while from < start {
        let to = start.min(from + COUNTED_AT_ONCE);
        let bytes = store.get_range(location, from..to).await?;
        lines += bytes.iter().filter(|byte| **byte == terminator).count();
        last = bytes.last().copied().unwrap_or(last);
        from = to;
    }
    Ok(if last == terminator { lines } else { lines + 1 })
}
