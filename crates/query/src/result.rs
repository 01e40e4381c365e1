//! A query's result: its rows, shown and counted.

use arrow::{array::RecordBatch, datatypes::SchemaRef, util::pretty};
use bytes::Bytes;
use dasklet_core::TaskError;

use crate::{
    error::QueryError,
    fault,
    row_format::{OutputFormat, write_rows},
    slices::SliceReader,
    staged::StagedQuery,
};

/// All rows of a query's result.
#[derive(Debug, Clone)]
pub struct QueryResult {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Where in `batches` each partition ends.
    ends: Vec<usize>,
}

impl QueryResult {
    /// The result from the outputs of the result's stages: output 0 of each task, in order. Each
    /// is one partition of the result.
    ///
    /// # Errors
    /// When an output is not what a stage writes.
    pub fn of_parts(
        query: &StagedQuery,
        parts: impl IntoIterator<Item = Bytes>,
    ) -> Result<Self, QueryError> {
        let schema = SchemaRef::clone(&query.schema);
        let (mut batches, mut ends) = (Vec::new(), Vec::new());
        for part in parts {
            for batch in SliceReader::new(SchemaRef::clone(&schema), part) {
                batches.push(batch.map_err(|error| {
                    TaskError::fatal(format!(
                        "a part of the result cannot be read: {}",
                        fault::sentence(&error)
                    ))
                })?);
            }
            ends.push(batches.len());
        }
        Ok(Self { schema, batches, ends })
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

    /// The rows of each partition, in order.
    pub fn partitions(&self) -> impl Iterator<Item = &[RecordBatch]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.batches[start..*end])
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
        write_rows(OutputFormat::Json, &self.schema, &self.batches, &mut bytes)
            .map_err(QueryError::Output)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
