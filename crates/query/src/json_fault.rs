//! Finds the line of a JSON file that cannot be read: the reader does not tell.

use arrow::{
    datatypes::SchemaRef,
    json::{ReaderBuilder, reader::Decoder},
};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

/// The first line that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonFault {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What the reader says of it.
    pub(crate) message: String,
}

/// Reads a file once more, row by row, until a row is wrong for these columns.
pub(crate) async fn first(
    store: &dyn ObjectStore,
    location: &Path,
    compression: FileCompressionType,
    columns: &SchemaRef,
) -> Option<JsonFault> {
    let bytes = store.get(location).await.ok()?.into_stream();
    let bytes = bytes.map_err(datafusion::common::DataFusionError::from).boxed();
    let mut chunks = compression.convert_stream(bytes).ok()?;
    let mut lines = Lines::new(columns)?;
    while let Some(chunk) = chunks.next().await {
        if let Err(fault) = lines.read(&chunk.ok()?) {
            return Some(fault);
        }
    }
    lines.finish().err()
}

/// Decodes a row at a time and counts lines.
struct Lines {
    decoder: Decoder,
    line: usize,
}

impl Lines {
    fn new(columns: &SchemaRef) -> Option<Self> {
        let decoder =
            ReaderBuilder::new(SchemaRef::clone(columns)).with_batch_size(1).build_decoder();
        Some(Self { decoder: decoder.ok()?, line: 1 })
    }

    fn fault(&self, error: &arrow::error::ArrowError) -> JsonFault {
        let message = error.to_string();
        let message = message.trim_start_matches("Json error: ").to_owned();
        JsonFault { line: self.line, message }
    }

    fn read(&mut self, chunk: &[u8]) -> Result<(), JsonFault> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let mut left = piece;
            while !left.is_empty() {
                let taken = self.decoder.decode(left).map_err(|error| self.fault(&error))?;
                left = &left[taken..];
                if !self.decoder.has_partial_record() {
                    // The row is whole: its values become columns, which they may not fit.
                    self.decoder.flush().map_err(|error| self.fault(&error))?;
                }
            }
            self.line += usize::from(piece.ends_with(b"\n"));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), JsonFault> {
        self.decoder.flush().map(drop).map_err(|error| self.fault(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn fault(text: &str, chunk: usize) -> Option<JsonFault> {
        let columns = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let mut lines = Lines::new(&Arc::new(columns)).unwrap();
        let read = text.as_bytes().chunks(chunk).try_for_each(|chunk| lines.read(chunk));
        read.and_then(|()| lines.finish()).err()
    }

    #[test]
    fn the_line_is_found_wherever_chunks_end() {
        let table = [
            ("{\"n\": 1}\n{\"n\": 2}\n", None),
            ("{\"n\": 1}\n\n{\"n\" 2}\n{\"n\": 3}\n", Some(3)),
            ("{\"n\": 1}\n{\"n\": \"x\"}\n{\"n\": 3}\n", Some(2)),
            ("{\"n\": 1}\n{\"n\": \"x\"}", Some(2)),
            ("{\"n\":\n 1}\n{\"n\":\n\n [2]}\n", Some(5)),
            ("{\"n\": 1}\n{\"n\": 2", Some(2)),
        ];
        for (text, line) in table {
            for chunk in [1, 3, 1000] {
                let found = fault(text, chunk);
                assert_eq!(found.as_ref().map(|fault| fault.line), line, "{text} {found:?}");
            }
        }
    }
}
