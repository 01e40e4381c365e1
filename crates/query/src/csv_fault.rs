//! Turns the CSV reader's complaints into sentences that name the file, the line and the column.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use arrow::{
    csv::ReaderBuilder,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use datafusion::{
    common::DataFusionError, config::CsvOptions,
    datasource::file_format::file_compression_type::FileCompressionType,
};
use futures::TryStreamExt;
use object_store::{GetOptions, GetResultPayload, ObjectStore, path::Path};

use crate::{csv::lines_before, file_fault::unreadable};

/// A file, or a part of one, being read.
pub(crate) struct Piece {
    /// The file's name for people.
    pub(crate) name: String,
    /// Its place in the store.
    pub(crate) location: Path,
    /// The first byte that belongs to this piece.
    pub(crate) start: u64,
    /// What ends a line.
    pub(crate) terminator: u8,
    /// The file's columns.
    pub(crate) schema: SchemaRef,
}

impl Piece {
    /// `error` with the place that it came from.
    pub(crate) async fn locate(
        &self,
        store: &dyn ObjectStore,
        error: DataFusionError,
    ) -> DataFusionError {
        let DataFusionError::ArrowError(arrow, _) = error else {
            return error;
        };
        let message = match *arrow {
            ArrowError::CsvError(message) | ArrowError::ParseError(message) => message,
            ArrowError::IoError(_, cause) => return unreadable(&self.name, &cause),
            other => return DataFusionError::ArrowError(Box::new(other), None),
        };
        let before =
            lines_before(store, &self.location, self.start, self.terminator).await.unwrap_or(0);
        DataFusionError::Execution(self.sentence(&message, before))
    }

    /// The first line that has other than as many fields as the first, if there is one. Finding
    /// the types does not say where in the file it failed.
    pub(crate) async fn uneven_line(
        &self,
        store: &dyn ObjectStore,
        options: &CsvOptions,
    ) -> Option<String> {
        let payload = store.get_opts(&self.location, GetOptions::default()).await.ok()?.payload;
        let bytes: Box<dyn Read + Send> = match payload {
            GetResultPayload::File(file, _) => Box::new(file),
            GetResultPayload::Stream(chunks) => {
                let chunks: Vec<_> = chunks.try_collect().await.ok()?;
                Box::new(io::Cursor::new(chunks.concat()))
            }
        };
        let compression = FileCompressionType::from(options.compression);
        let text = io::BufReader::new(compression.convert_read(bytes).ok()?);
        let mut format = arrow::csv::reader::Format::default()
            .with_delimiter(options.delimiter)
            .with_quote(options.quote);
        if let Some(escape) = options.escape {
            format = format.with_escape(escape);
        }
        let mut text = text;
        let mut first = String::new();
        text.read_line(&mut first).ok()?;
        let (columns, _) = format.infer_schema(first.as_bytes(), None).ok()?;
        let names = columns.fields().iter().map(|field| field.name().clone());
        let words = names.map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>();
        let whole = io::Cursor::new(first).chain(text);
        let mut rows = ReaderBuilder::new(Arc::new(Schema::new(words)))
            .with_format(format)
            .build(whole)
            .ok()?;
        let error = rows.find_map(Result::err)?;
        match error {
            ArrowError::CsvError(message) => Some(self.sentence(&message, 0)),
            _ => None,
        }
    }

    fn sentence(&self, message: &str, before: usize) -> String {
        let name = &self.name;
        if let Some(at) = number_after(message, "fields for line ") {
            let expected = number_after(message, "expected ").unwrap_or(0);
            let found = message.rsplit("got ").next().unwrap_or_default();
            return format!(
                "{name}, line {}: has {found} fields where {expected} are expected; correct this \
                 line, or set `options.delimiter` and `options.quote` as the file has them",
                before + at
            );
        }
        if let Some(at) = number_after(message, "UTF-8 data for line ") {
            return format!(
                "{name}, line {}: is not UTF-8 text; convert the file to UTF-8, or name its \
                 compression in `options.compression`",
                before + at
            );
        }
        // The parser counts from zero where it speaks of values.
        if let Some(at) = number_after(message, "at line ") {
            let column = number_after(message, "column ")
                .and_then(|index| self.schema.fields().get(index))
                .map_or_else(String::new, |field| format!("column '{}': ", field.name()));
            let problem =
                match (between(message, "value '", "' as"), between(message, "type '", "'")) {
                    (Some(value), Some(expected)) => {
                        format!("'{value}' is not a value of type {expected}")
                    }
                    _ => message.rsplit(": ").next().unwrap_or(message).to_owned(),
                };
            return format!(
                "{name}, line {}: {column}{problem}; correct this line, give the column another \
                 type in `options.schema`, or name the text in `options.null_value`",
                before + at + 1
            );
        }
        format!("{name}: {message}")
    }
}

fn number_after(message: &str, words: &str) -> Option<usize> {
    let rest = &message[message.find(words)? + words.len()..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    rest[..digits].parse().ok()
}

fn between<'a>(message: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &message[message.find(before)? + before.len()..];
    rest.find(after).map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece() -> Piece {
        Piece {
            name: "/data/a.csv".to_owned(),
            location: Path::from("data/a.csv"),
            start: 0,
            terminator: b'\n',
            schema: Arc::new(Schema::new(vec![
                Field::new("name", DataType::Utf8, true),
                Field::new("delay", DataType::Int64, true),
            ])),
        }
    }

    #[test]
    fn the_readers_words_become_a_place() {
        let table = [
            (
                "incorrect number of fields for line 5, expected 2 got 3",
                "/data/a.csv, line 105: has 3 fields where 2 are expected",
            ),
            (
                "Error while parsing value 'x' as type 'Int64' for column 1 at line 4. Row data: '[a,x]'",
                "/data/a.csv, line 105: column 'delay': 'x' is not a value of type Int64",
            ),
            (
                "Encountered invalid UTF-8 data for line 5 and field 1",
                "/data/a.csv, line 105: is not UTF-8 text",
            ),
            ("something else", "/data/a.csv: something else"),
        ];
        for (message, expected) in table {
            let sentence = piece().sentence(message, 100);
            assert!(sentence.starts_with(expected), "{sentence}");
        }
    }
}
