//! How rows are written: as text with a header, as Parquet, as JSON lines.

use std::io::{BufWriter, Write};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};

/// How a result is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Delimited text with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

impl OutputFormat {
    pub(crate) const ALL: [Self; 3] = [Self::Csv, Self::Parquet, Self::Json];

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }
}

/// Writes rows in a format, whole: with a header where the format has one.
pub(crate) fn write_rows(
    format: OutputFormat,
    schema: &SchemaRef,
    rows: &[RecordBatch],
    to: &mut (impl Write + Send),
) -> Result<(), String> {
    match format {
        OutputFormat::Csv => write_csv(schema, rows, to),
        OutputFormat::Json => write_json(rows, to),
        OutputFormat::Parquet => write_parquet(schema, rows, to),
    }
}

fn write_csv(schema: &SchemaRef, rows: &[RecordBatch], to: &mut impl Write) -> Result<(), String> {
    let mut writer = arrow::csv::Writer::new(BufWriter::new(to));
    if rows.is_empty() {
        let none = RecordBatch::new_empty(SchemaRef::clone(schema));
        writer.write(&none).map_err(|error| error.to_string())?;
    }
    for batch in rows {
        writer.write(batch).map_err(|error| error.to_string())?;
    }
    writer.into_inner().flush().map_err(|error| error.to_string())
}

fn write_json(rows: &[RecordBatch], to: &mut impl Write) -> Result<(), String> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(BufWriter::new(to));
    for batch in rows {
        writer.write(batch).map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())?;
    writer.into_inner().flush().map_err(|error| error.to_string())
}

fn write_parquet(
    schema: &SchemaRef,
    rows: &[RecordBatch],
    to: &mut (impl Write + Send),
) -> Result<(), String> {
    let mut writer = ArrowWriter::try_new(to, SchemaRef::clone(schema), None)
        .map_err(|error| error.to_string())?;
    for batch in rows {
        writer.write(batch).map_err(|error| error.to_string())?;
    }
    writer.close().map(drop).map_err(|error| error.to_string())
}
