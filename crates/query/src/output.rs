//! Results in files: one file, or a folder with a file for each partition of the result.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufWriter, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::{error::QueryError, result::QueryResult, tables::Compression};

/// What the names of part files begin with.
const PART: &str = "part-";

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
    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }
}

/// Where a result is written: a file, or a folder of part files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    path: PathBuf,
    format: OutputFormat,
    is_folder: bool,
}

/// What a problem with an output is told as.
fn failed(path: &Path, problem: impl std::fmt::Display) -> QueryError {
    QueryError::Output(format!(
        "the result cannot be written to '{}': {problem}; check the path and the space left there",
        path.display()
    ))
}

impl Output {
    /// An output at a local path: a folder if the path ends in `/` or is one, else a file.
    ///
    /// # Errors
    /// When the path is of a kind that is not written: a URL, or a compressed file.
    pub fn new(path: &Path, format: OutputFormat) -> Result<Self, QueryError> {
        let refused = |problem: &str| {
            QueryError::Output(format!("the output '{}' {problem}", path.display()))
        };
        if path.to_string_lossy().contains("://") {
            return Err(refused(
                "is a URL; results are written to local files: give a local path, and copy the \
                 file from there",
            ));
        }
        let last = path.extension().map(|last| last.to_string_lossy().to_ascii_lowercase());
        if last.is_some_and(|last| Compression::of_extension(&last).is_some()) {
            return Err(refused(
                "has the name of a compressed file; results are written as they are: leave that \
                 extension out, or write parquet",
            ));
        }
        let is_folder = path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir();
        Ok(Self { path: path.to_owned(), format, is_folder })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True for a folder of part files.
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Writes a result: each file whole, or nothing at all. In a folder, part files of an earlier
    /// result are replaced and other files left alone. Returns the number of files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, result: &QueryResult) -> Result<usize, QueryError> {
        if self.is_folder {
            return self.write_parts(result).map_err(|problem| failed(&self.path, problem));
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let written = self.complete(folder, result.schema(), result.batches());
        let persisted = written
            .and_then(|file| file.persist(&self.path).map_err(|error| error.error.to_string()));
        persisted.map(|_| 1).map_err(|problem| failed(&self.path, problem))
    }

    fn write_parts(&self, result: &QueryResult) -> Result<usize, String> {
        let words = |error: io::Error| error.to_string();
        let mut files = Vec::new();
        for (number, rows) in result.partitions().enumerate() {
            let name = format!("{PART}{number:05}.{}", self.format.extension());
            files.push((name, self.complete(&self.path, result.schema(), rows)?));
        }
        // All are complete; from here on nothing but names changes.
        let count = files.len();
        let mut names = BTreeSet::new();
        for (name, file) in files {
            file.persist(self.path.join(&name)).map_err(|error| error.error.to_string())?;
            names.insert(name);
        }
        for entry in fs::read_dir(&self.path).map_err(words)? {
            let entry = entry.map_err(words)?;
            let stale = entry
                .file_name()
                .to_str()
                .is_some_and(|name| is_part(name) && !names.contains(name));
            if stale {
                fs::remove_file(entry.path()).map_err(words)?;
            }
        }
        Ok(count)
    }

    /// A complete file under a temporary name, which readers of the folder pass over.
    fn complete(
        &self,
        folder: &Path,
        schema: &SchemaRef,
        rows: &[RecordBatch],
    ) -> Result<NamedTempFile, String> {
        let words = |error: io::Error| error.to_string();
        fs::create_dir_all(folder).map_err(words)?;
        let mut file = NamedTempFile::with_prefix_in(".writing-", folder).map_err(words)?;
        write_rows(self.format, schema, rows, file.as_file_mut())?;
        // Temporary files are for their owner alone; a result is for whoever the folder is for.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(words)?;
        file.as_file().sync_all().map_err(words)?;
        Ok(file)
    }
}

/// True for a name that [`Output::write`] gives to a part.
fn is_part(name: &str) -> bool {
    name.strip_prefix(PART).and_then(|rest| rest.split_once('.')).is_some_and(|(number, format)| {
        number.len() >= 5
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && [OutputFormat::Csv, OutputFormat::Parquet, OutputFormat::Json]
                .iter()
                .any(|known| known.extension() == format)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_parts_are_replaced() {
        for (name, ours) in [
            ("part-00000.csv", true),
            ("part-123456.parquet", true),
            ("part-00000.csv.gz", false),
            ("part-0.csv", false),
            ("part-00000-c000.json", false),
            ("mine.csv", false),
        ] {
            assert_eq!(is_part(name), ours, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_runs() {
        for (path, words) in
            [("s3://bucket/a.csv", "is a URL"), ("a.csv.gz", "compressed"), ("x.zst", "compressed")]
        {
            let error = Output::new(Path::new(path), OutputFormat::Csv).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
