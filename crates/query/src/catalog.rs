//! From a table's description to a table that DataFusion can scan: finds the files, settles format
//! and compression.

use std::{path::Path, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Result, Statistics, TableReference, stats::Precision},
    config::{CsvOptions, JsonOptions},
    datasource::{
        TableType,
        file_format::{
            FileFormat, csv::CsvFormat, file_compression_type::FileCompressionType,
            json::JsonFormat, parquet::ParquetFormat,
        },
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
        physical_plan::FileScanConfigBuilder,
        source::DataSourceExec,
    },
    execution::SessionState,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use futures::TryStreamExt;
use object_store::ObjectMeta;

use crate::{
    columns::Reading,
    csv::null_pattern_text,
    error::QueryError,
    fault, pattern, scans,
    tables::{Compression, TableFormat, TableSource},
};

/// Rows read to find the types of columns, unless the table says otherwise.
const INFER_ROWS: usize = 10_000;

/// How much larger text is than its compressed form, about.
const COMPRESSION_RATIO: u64 = 6;

/// A table whose files are known.
#[derive(Debug)]
pub(crate) struct OpenTable {
    files: ListingTable,
    null_value: Option<String>,
    /// About how many bytes of text or data it holds.
    pub(crate) bytes: u64,
}

/// Finds the files of a table and what is in them.
pub(crate) async fn open(
    name: &str,
    source: &TableSource,
    state: &SessionState,
) -> Result<OpenTable, QueryError> {
    let wrong = |problem: String| QueryError::table(name, problem);
    let url = url_of(source).map_err(wrong)?;
    let store =
        state.runtime_env().object_store(&url).map_err(|error| wrong(fault::sentence(&error)))?;
    let found: Vec<ObjectMeta> = match url.list_all_files(state, store.as_ref(), "").await {
        Ok(files) => files.try_collect().await,
        Err(error) => Err(error),
    }
    .map_err(|error| wrong(format!("cannot list {}: {}", source.path, fault::sentence(&error))))?;
    let files = the_tables_files(found, source.format);
    let Some(first) = files.first() else {
        return Err(wrong(format!(
            "no file matches '{}'; check the path and the extension",
            source.path
        )));
    };
    let (format, compression) = format_of(source, first).map_err(wrong)?;
    let size: u64 = files.iter().map(|file| file.size).sum();
    let ratio = if compression == Compression::None { 1 } else { COMPRESSION_RATIO };

    let format = reader_of(format, compression, source).map_err(wrong)?;
    let folder = url.object_store();
    let reading =
        Reading { state, format: &*format, folder: folder.as_str(), store: &store, files: &files };
    let schema = reading.columns(&source.options).await.map_err(wrong)?;
    let each = files.iter().map(|file| url_of_file(&url, file, name)).collect::<Result<Vec<_>>>();
    let config = ListingTableConfig::new_with_multi_paths(
        each.map_err(|error| wrong(fault::sentence(&error)))?,
    )
    .with_listing_options(ListingOptions::new(format).with_file_extension(""))
    .with_schema(schema);
    let files = ListingTable::try_new(config).map_err(|error| wrong(fault::sentence(&error)))?;
    Ok(OpenTable { files, null_value: source.options.null_value.clone(), bytes: size * ratio })
}

fn url_of(source: &TableSource) -> Result<ListingTableUrl, String> {
    let mut path = source.path.clone();
    if path.is_empty() {
        return Err("has no path; give a file, a folder or a pattern".to_owned());
    }
    if !path.contains("://") {
        let local = std::path::absolute(&path).map_err(|error| format!("'{path}': {error}"))?;
        path = local.to_string_lossy().into_owned();
        let is_pattern = path.contains(['*', '?', '[']);
        if !is_pattern && !local.exists() {
            return Err(format!("there is no file or folder '{path}'; check the path"));
        }
        if local.is_dir() && !path.ends_with('/') {
            path.push('/');
        }
    }
    let url = match pattern::split(&path) {
        Some((folder, pattern)) => pattern::url(folder, pattern),
        None => ListingTableUrl::parse(&path),
    };
    url.map_err(|error| format!("'{path}': {}", fault::sentence(&error)))
}

/// A URL of one file of a table that was found under `url`.
fn url_of_file(url: &ListingTableUrl, file: &ObjectMeta, table: &str) -> Result<ListingTableUrl> {
    let mut one = url.get_url().clone();
    one.set_path(&format!("/{}", file.location));
    Ok(ListingTableUrl::try_new(one, None)?.with_table_ref(TableReference::bare(table)))
}

/// The files in the order of their names; hidden and empty ones apart, and where a folder holds
/// several kinds, only those of the table's format.
fn the_tables_files(mut found: Vec<ObjectMeta>, format: Option<TableFormat>) -> Vec<ObjectMeta> {
    found.retain(|file| {
        let hidden = file.location.filename().is_some_and(|name| name.starts_with(['.', '_']));
        file.size > 0 && !hidden
    });
    let is_known = |file: &ObjectMeta| {
        let named = extensions_of(file).0;
        named.is_some() && format.is_none_or(|format| named == Some(format))
    };
    if found.iter().any(is_known) {
        found.retain(is_known);
    }
    found.sort_by(|a, b| a.location.cmp(&b.location));
    found
}

/// The format and the compression that a file's name tells.
fn extensions_of(file: &ObjectMeta) -> (Option<TableFormat>, Compression) {
    let name = Path::new(file.location.filename().unwrap_or_default());
    let last = name.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match Compression::of_extension(&last) {
        None => (TableFormat::of_extension(&last), Compression::None),
        Some(compression) => {
            let stem = Path::new(name.file_stem().unwrap_or_default());
            let inner = stem.extension().and_then(|e| e.to_str()).unwrap_or_default();
            (TableFormat::of_extension(&inner.to_ascii_lowercase()), compression)
        }
    }
}

fn format_of(
    source: &TableSource,
    first: &ObjectMeta,
) -> Result<(TableFormat, Compression), String> {
    let (named, compression) = extensions_of(first);
    let format = source.format.or(named).ok_or_else(|| {
        format!(
            "the name of '{}' does not tell its format; set `format` to csv, parquet or json",
            first.location
        )
    })?;
    Ok((format, source.options.compression.unwrap_or(compression)))
}

const fn file_compression(compression: Compression) -> FileCompressionType {
    match compression {
        Compression::None => FileCompressionType::UNCOMPRESSED,
        Compression::Gzip => FileCompressionType::GZIP,
        Compression::Bzip2 => FileCompressionType::BZIP2,
        Compression::Xz => FileCompressionType::XZ,
        Compression::Zstd => FileCompressionType::ZSTD,
    }
}

fn reader_of(
    format: TableFormat,
    compression: Compression,
    source: &TableSource,
) -> Result<Arc<dyn FileFormat>, String> {
    let options = &source.options;
    let rows = options.infer_rows.unwrap_or(INFER_ROWS);
    let compression = file_compression(compression);
    Ok(match format {
        TableFormat::Parquet => Arc::new(ParquetFormat::default()),
        TableFormat::Json => Arc::new(
            JsonFormat::default()
                .with_options(JsonOptions { compression: compression.into(), ..Default::default() })
                .with_schema_infer_max_rec(rows),
        ),
        TableFormat::Csv => {
            let tab = source.path.contains(".tsv").then_some('\t');
            let csv = CsvOptions {
                has_header: Some(options.has_header.unwrap_or(true)),
                delimiter: byte_of("delimiter", options.delimiter.or(tab))?.unwrap_or(b','),
                quote: byte_of("quote", options.quote)?.unwrap_or(b'"'),
                escape: byte_of("escape", options.escape)?,
                comment: byte_of("comment", options.comment)?,
                newlines_in_values: Some(options.newlines_in_values.unwrap_or(false)),
                compression: compression.into(),
                schema_infer_max_rec: Some(rows),
                null_regex: options.null_value.as_deref().map(null_pattern_text),
                ..Default::default()
            };
            Arc::new(CsvFormat::default().with_options(csv))
        }
    })
}

fn byte_of(option: &str, character: Option<char>) -> Result<Option<u8>, String> {
    character
        .map(|c| {
            u8::try_from(c)
                .ok()
                .filter(u8::is_ascii)
                .ok_or_else(|| format!("`{option}` is '{c}'; it must be an ASCII character"))
        })
        .transpose()
}

#[async_trait]
impl TableProvider for OpenTable {
    fn schema(&self) -> SchemaRef {
        self.files.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.files.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.files.scan(state, projection, filters, limit).await?;
        let Some(scan) = scans::file_scan(&plan) else {
            return Ok(plan);
        };
        let mut scan = scans::named(scan.clone(), self.null_value.clone());
        let statistics = scan.statistics();
        if statistics.num_rows.get_value().is_none() {
            // Text files do not say how many rows they have, but their size tells a small table
            // from a large one, which is what decides how to join it.
            let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
            let sized = Statistics { total_byte_size: Precision::Inexact(bytes), ..statistics };
            scan = FileScanConfigBuilder::from(scan).with_statistics(sized).build();
        }
        Ok(DataSourceExec::from_data_source(scan))
    }
}
