//! A query's result: shown, counted, or written to a file.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef, util::pretty};
use bytes::Bytes;
use dasklet_core::TaskError;
use datafusion::parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};

use crate::{error::QueryError, fault, slices::SliceReader, staged::StagedQuery};

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

/// All rows of a query's result.
#[derive(Debug, Clone)]
pub struct QueryResult {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl QueryResult {
    /// The result from the outputs of the result's stages: output 0 of each task, in order.
    ///
    /// # Errors
    /// When an output is not what a stage writes.
    pub fn of_parts(
        query: &StagedQuery,
        parts: impl IntoIterator<Item = Bytes>,
    ) -> Result<Self, QueryError> {
        let schema = SchemaRef::clone(&query.schema);
        let batches = parts
            .into_iter()
            .flat_map(|part| SliceReader::new(SchemaRef::clone(&schema), part))
            .collect::<Result<_, _>>()
            .map_err(|error| {
                TaskError::fatal(format!(
                    "a part of the result cannot be read: {}",
                    fault::sentence(&error)
                ))
            })?;
        Ok(Self { schema, batches })
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows as Arrow holds them.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A table with borders, of at most `rows` rows; a last line says how many there are more.
    ///
    /// # Errors
    /// When a value cannot be shown.
    pub fn table(&self, rows: usize) -> Result<String, QueryError> {
        let mut left = rows;
        let mut shown = Vec::new();
        for batch in &self.batches {
            let some = batch.num_rows().min(left);
            left -= some;
            shown.push(batch.slice(0, some));
        }
        let table =
            pretty::pretty_format_batches_with_schema(SchemaRef::clone(&self.schema), &shown);
        let mut text = table
            .map_err(|error| QueryError::Output(format!("the result cannot be shown: {error}")))?
            .to_string();
        let hidden = self.rows() - self.rows().min(rows);
        if hidden > 0 {
            text.push_str(&format!("\n... and {hidden} more rows"));
        }
        Ok(text)
    }

    /// The rows as JSON, one object a line.
    ///
    /// # Errors
    /// When a value has no JSON form.
    pub fn json_lines(&self) -> Result<String, QueryError> {
        let mut bytes = Vec::new();
        self.write_json(&mut bytes).map_err(QueryError::Output)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes a file: whole, or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, format: OutputFormat) -> Result<(), QueryError> {
        let failed = |problem: String| {
            QueryError::Output(format!(
                "the result cannot be written to '{}': {problem}; check the path and the space \
                 left there",
                path.display()
            ))
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let mut file =
            tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(error.to_string()))?;
        match format {
            OutputFormat::Csv => self.write_csv(file.as_file_mut()),
            OutputFormat::Json => self.write_json(file.as_file_mut()),
            OutputFormat::Parquet => self.write_parquet(file.as_file_mut()),
        }
        .map_err(failed)?;
        file.as_file().sync_all().map_err(|error| failed(error.to_string()))?;
        readable_as_usual(file.as_file()).map_err(|error| failed(error.to_string()))?;
        file.persist(path).map_err(|error| failed(error.error.to_string()))?;
        Ok(())
    }

    fn write_csv(&self, to: &mut impl Write) -> Result<(), String> {
        let mut writer = arrow::csv::Writer::new(BufWriter::new(to));
        if self.batches.is_empty() {
            let none = RecordBatch::new_empty(SchemaRef::clone(&self.schema));
            writer.write(&none).map_err(|error| error.to_string())?;
        }
        for batch in &self.batches {
            writer.write(batch).map_err(|error| error.to_string())?;
        }
        writer.into_inner().flush().map_err(|error| error.to_string())
    }

    fn write_json(&self, to: &mut impl Write) -> Result<(), String> {
        let mut writer = arrow::json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, arrow::json::writer::LineDelimited>(BufWriter::new(to));
        for batch in &self.batches {
            writer.write(batch).map_err(|error| error.to_string())?;
        }
        writer.finish().map_err(|error| error.to_string())?;
        writer.into_inner().flush().map_err(|error| error.to_string())
    }

    fn write_parquet(&self, to: &mut (impl Write + Send)) -> Result<(), String> {
        let mut writer = ArrowWriter::try_new(to, SchemaRef::clone(&self.schema), None)
            .map_err(|error| error.to_string())?;
        for batch in &self.batches {
            writer.write(batch).map_err(|error| error.to_string())?;
        }
        writer.close().map(drop).map_err(|error| error.to_string())
    }
}

/// Temporary files are for their owner alone; a result is for whoever the folder is for.
fn readable_as_usual(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}
