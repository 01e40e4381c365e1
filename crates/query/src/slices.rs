//! Rows between stages: each output of a task is one Arrow IPC stream, or nothing where it has no
//! rows.

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    buffer::Buffer,
    compute::BatchCoalescer,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
};
use bytes::Bytes;
use datafusion::common::Result;

/// Rows in a batch as it is written: partitioning leaves crumbs, which cost more in framing than
/// in rows.
const ROWS: usize = 8192;

/// Collects the rows of one output.
pub(crate) struct SliceWriter {
    schema: SchemaRef,
    rows: BatchCoalescer,
    stream: Option<StreamWriter<Vec<u8>>>,
}

impl SliceWriter {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { rows: BatchCoalescer::new(SchemaRef::clone(&schema), ROWS), schema, stream: None }
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.schema.fields().is_empty() {
            return self.write(&batch);
        }
        // Operators may declare other nullability or metadata than they deliver.
        let batch = under_schema(batch, &self.schema)?;
        self.rows.push_batch(batch)?;
        self.write_completed()
    }

    fn write_completed(&mut self) -> Result<()> {
        while let Some(batch) = self.rows.next_completed_batch() {
            self.write(&batch)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => empty.insert(StreamWriter::try_new(Vec::new(), &self.schema)?),
        };
        Ok(stream.write(batch)?)
    }

    /// Bytes held so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.get_ref().len())
    }

    pub(crate) fn finish(mut self) -> Result<Bytes> {
        self.rows.finish_buffered_batch()?;
        self.write_completed()?;
        match self.stream {
            Some(stream) => Ok(Bytes::from(stream.into_inner()?)),
            None => Ok(Bytes::new()),
        }
    }
}

/// Reads one output, without copying where the bytes are aligned.
pub(crate) struct SliceReader {
    schema: SchemaRef,
    bytes: Bytes,
    decoder: StreamDecoder,
}

impl SliceReader {
    pub(crate) fn new(schema: SchemaRef, slice: Bytes) -> Self {
        Self { schema, bytes: slice, decoder: StreamDecoder::new() }
    }

    /// Takes the next message off. Each gets a buffer of its own: operators count the memory of
    /// whole buffers, and would count the whole slice for each of its batches.
    fn next_message(&mut self) -> Option<Buffer> {
        let length = message_length(&self.bytes).unwrap_or(self.bytes.len());
        let message = self.bytes.split_to(length.min(self.bytes.len()));
        (!message.is_empty()).then(|| Buffer::from(message))
    }
}

/// The length of the message at the beginning of a stream: a marker, the length of the metadata,
/// the metadata, and the body, whose length the metadata has.
fn message_length(stream: &[u8]) -> Option<usize> {
    let metadata = u32::from_le_bytes(stream.get(4..8)?.try_into().ok()?) as usize;
    if metadata == 0 {
        return None;
    }
    let message = arrow::ipc::root_as_message(stream.get(8..8 + metadata)?).ok()?;
    Some(8 + metadata + usize::try_from(message.bodyLength()).ok()?)
}

impl Iterator for SliceReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(mut message) = self.next_message() {
            while !message.is_empty() {
                match self.decoder.decode(&mut message) {
                    Ok(Some(batch)) => return Some(under_schema(batch, &self.schema)),
                    Ok(None) => {}
                    Err(error) => {
                        self.bytes.clear();
                        return Some(Err(error.into()));
                    }
                }
            }
        }
        None
    }
}

/// The same rows under the reader's own schema.
fn under_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &rows).map_err(
        |error: ArrowError| {
            datafusion::common::DataFusionError::Internal(format!(
                "rows do not fit the columns that their reader expects: {error}"
            ))
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringViewArray},
        datatypes::{DataType, Field, Schema},
    };

    use super::*;

    fn batch(from: i64, rows: usize) -> RecordBatch {
        let numbers: Vec<i64> = (from..).take(rows).collect();
        let words = numbers.iter().map(|n| format!("a rather long word, number {n}"));
        RecordBatch::try_new(
            Arc::new(Schema::new(vec![
                Field::new("n", DataType::Int64, true),
                Field::new("w", DataType::Utf8View, true),
            ])),
            vec![
                Arc::new(Int64Array::from(numbers.clone())),
                Arc::new(StringViewArray::from_iter_values(words)),
            ],
        )
        .unwrap()
    }

    #[test]
    fn rows_come_back_in_order_and_crumbs_are_joined() {
        let first = batch(0, 10);
        let mut writer = SliceWriter::new(first.schema());
        for chunk in 0..1000 {
            writer.push(batch(chunk * 10, 10)).unwrap();
        }
        let slice = writer.finish().unwrap();
        let read: Vec<_> =
            SliceReader::new(first.schema(), slice.clone()).collect::<Result<_>>().unwrap();
        assert_eq!(read.len(), 2);
        let counted: usize =
            read.iter().map(|batch| batch.column(0).get_buffer_memory_size()).sum();
        assert!(counted <= slice.len(), "a batch counts its own message, not the whole slice");
        let together = arrow::compute::concat_batches(&first.schema(), &read).unwrap();
        assert_eq!(together, batch(0, 10_000));
    }

    #[test]
    fn nothing_costs_nothing() {
        let empty = SliceWriter::new(batch(0, 1).schema()).finish().unwrap();
        assert!(empty.is_empty());
        assert!(SliceReader::new(batch(0, 1).schema(), empty).next().is_none());
    }

    #[test]
    fn a_view_of_few_rows_does_not_carry_the_others() {
        let whole = batch(0, 8000);
        let mut writer = SliceWriter::new(whole.schema());
        writer.push(whole.slice(17, 3)).unwrap();
        assert!(writer.finish().unwrap().len() < 4000);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let schema = Arc::new(Schema::empty());
        let rows = RecordBatchOptions::new().with_row_count(Some(7));
        let batch = RecordBatch::try_new_with_options(schema.clone(), vec![], &rows).unwrap();
        let mut writer = SliceWriter::new(schema.clone());
        writer.push(batch).unwrap();
        let read: usize = SliceReader::new(schema, writer.finish().unwrap())
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(read, 7);
    }
}
