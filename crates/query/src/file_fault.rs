//! Which file an error of reading came from, in words.

use std::{
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
};

use arrow::{datatypes::SchemaRef, error::ArrowError};
use datafusion::{
    common::DataFusionError, datasource::file_format::file_compression_type::FileCompressionType,
    parquet::errors::ParquetError,
};
use object_store::{ObjectStore, path::Path};

use crate::json_fault;

/// What kind of file it is.
#[derive(Debug, Clone)]
pub(crate) enum FileKind {
    /// One JSON object a line.
    Json {
        /// How it is compressed.
        compression: FileCompressionType,
        /// The columns that are read.
        columns: SchemaRef,
    },
    /// Apache Parquet.
    Parquet,
    /// A format whose errors say enough.
    Other,
}

/// A file that is being read.
pub(crate) struct FilePlace {
    name: String,
    store: Arc<dyn ObjectStore>,
    location: Path,
    kind: FileKind,
}

impl fmt::Debug for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A file's name for people: a path where it is local, else a URL.
pub(crate) fn file_name(store: &str, location: &Path) -> String {
    match store.strip_prefix("file://") {
        Some(_) => format!("/{location}"),
        None => format!("{}/{location}", store.trim_end_matches('/')),
    }
}

/// The error of reading a file's bytes.
pub(crate) fn unreadable(name: &str, cause: &io::Error) -> DataFusionError {
    match cause.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            DataFusionError::Execution(format!(
                "{name}: cannot be unpacked ({cause}); check that the file is whole, and that \
                 `options.compression` names how it is compressed"
            ))
        }
        kind => DataFusionError::IoError(io::Error::new(
            kind,
            format!("{name}: cannot be read: {cause}"),
        )),
    }
}

impl FilePlace {
    /// A file of the store at the URL `folder`.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        folder: &str,
        location: Path,
        kind: FileKind,
    ) -> Self {
        Self { name: file_name(folder, &location), store, location, kind }
    }

    /// `error` with the file's name, and with the line where the format has lines.
    pub(crate) async fn locate(&self, error: DataFusionError) -> DataFusionError {
        if let (FileKind::Json { compression, columns }, true) = (&self.kind, is_of_json(&error)) {
            let found =
                json_fault::first(&*self.store, &self.location, *compression, columns).await;
            if let Some(fault) = found {
                return DataFusionError::Execution(format!(
                    "{}, line {}: {}; correct this line, or give the column another type in \
                     `options.schema`",
                    self.name, fault.line, fault.message
                ));
            }
        }
        self.name_it(error)
    }

    /// `error` with the file's name, where it is one of what the file holds.
    pub(crate) fn name_it(&self, error: DataFusionError) -> DataFusionError {
        match error {
            DataFusionError::Context(_, inner) => self.name_it(*inner),
            DataFusionError::ParquetError(error) => self.of_parquet(*error),
            DataFusionError::ArrowError(error, backtrace) => match *error {
                ArrowError::ParquetError(message) => self.not_parquet(&message),
                ArrowError::IoError(_, cause) => unreadable(&self.name, &cause),
                ArrowError::JsonError(message) => self.say(&message),
                ArrowError::ExternalError(inner) => self.of_external(inner),
                other => DataFusionError::ArrowError(Box::new(other), backtrace),
            },
            DataFusionError::External(inner) => self.of_external(inner),
            other => other,
        }
    }

    fn of_external(&self, error: Box<dyn std::error::Error + Send + Sync>) -> DataFusionError {
        let error = match error.downcast::<ParquetError>() {
            Ok(error) => return self.of_parquet(*error),
            Err(error) => error,
        };
        let error = match error.downcast::<DataFusionError>() {
            Ok(error) => return self.name_it(*error),
            Err(error) => error,
        };
        // What a store says stays what it is: another try may help.
        let error = match error.downcast::<object_store::Error>() {
            Ok(error) => return DataFusionError::ObjectStore(error),
            Err(error) => error,
        };
        match error.downcast::<io::Error>() {
            Ok(cause) => unreadable(&self.name, &cause),
            Err(error) => self.say(&error.to_string()),
        }
    }

    fn of_parquet(&self, error: ParquetError) -> DataFusionError {
        match error {
            ParquetError::External(inner) => self.of_external(inner),
            ParquetError::General(message)
            | ParquetError::EOF(message)
            | ParquetError::ArrowError(message) => self.not_parquet(&message),
            other => self.not_parquet(&other.to_string()),
        }
    }

    fn not_parquet(&self, message: &str) -> DataFusionError {
        let message = message.trim_start_matches("Parquet error: ");
        DataFusionError::Execution(format!(
            "{}: cannot be read as Parquet ({message}); check that the file is whole, and that \
             `format` says what it is",
            self.name
        ))
    }

    fn say(&self, message: &str) -> DataFusionError {
        DataFusionError::Execution(format!("{}: {message}", self.name))
    }
}

fn is_of_json(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Context(_, inner) => is_of_json(inner),
        DataFusionError::ArrowError(error, _) => matches!(**error, ArrowError::JsonError(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::fault;

    fn place() -> FilePlace {
        let store = Arc::new(InMemory::new());
        FilePlace::new(store, "s3://bucket/", Path::from("a/b.parquet"), FileKind::Parquet)
    }

    #[test]
    fn what_a_file_holds_is_told_with_its_name() {
        let corrupt = || ParquetError::General("corrupt footer".to_owned());
        let table = [
            DataFusionError::from(corrupt()),
            DataFusionError::External(Box::new(corrupt())),
            DataFusionError::from(ArrowError::from(corrupt())),
            DataFusionError::from(corrupt()).context("while reading"),
        ];
        for error in table {
            let said = fault::sentence(&place().name_it(error));
            assert!(said.starts_with("s3://bucket/a/b.parquet: cannot be read as"), "{said}");
            assert!(said.contains("(corrupt footer)"), "{said}");
        }
    }

    #[test]
    fn a_store_that_does_not_answer_may_be_asked_again() {
        let store = object_store::Error::Generic { store: "S3", source: "no answer".into() };
        let error = DataFusionError::from(ParquetError::External(Box::new(store)));
        let error = fault::task_error(&place().name_it(error));
        assert_eq!(error.class, dasklet_core::ErrorClass::Retryable);
    }

    #[test]
    fn what_was_computed_is_not_the_files_fault() {
        let error = place().name_it(ArrowError::DivideByZero.into());
        assert!(!fault::sentence(&error).contains("bucket"), "{error}");
    }
}
