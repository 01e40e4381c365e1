//! DataFusion's errors as sentences, and as what they mean for the next attempt.

use std::io;

use arrow::error::ArrowError;
use dasklet_core::TaskError;
use datafusion::common::DataFusionError;

/// The root of an error without DataFusion's prefixes and backtraces.
pub(crate) fn sentence(error: &DataFusionError) -> String {
    let message = match error.find_root() {
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => return sentence(first),
            None => String::new(),
        },
        DataFusionError::SQL(error, _) => format!("the SQL cannot be parsed: {error}"),
        DataFusionError::ArrowError(error, _) => arrow_sentence(error),
        DataFusionError::ObjectStore(error) => store_sentence(error),
        DataFusionError::IoError(error) => error.to_string(),
        DataFusionError::Internal(message) => {
            format!("internal error of the query engine: {message}")
        }
        DataFusionError::NotImplemented(message) => format!("not supported: {message}"),
        root => root.message().into_owned(),
    };
    let message = message.split("\n\nbacktrace:").next().unwrap_or(&message);
    // What a function takes comes after each of its signatures' own complaints.
    let message = match message.find("No function matches") {
        Some(start) => &message[start..],
        None => message,
    };
    message.trim().replace("\n\tCandidate functions:\n\t", " It takes: ").replace("\n\t", "; ")
}

fn arrow_sentence(error: &ArrowError) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero; guard it with NULLIF".to_owned(),
        ArrowError::IoError(message, _)
        | ArrowError::CastError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::CsvError(message)
        | ArrowError::JsonError(message)
        | ArrowError::ParseError(message) => message.clone(),
        other => other.to_string(),
    }
}

fn store_sentence(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { path, .. } => format!(
            "the file '{path}' is not there; every worker must see the tables' files under the \
             same path"
        ),
        other => other.to_string(),
    }
}

/// What an error of a running stage means for the next attempt.
pub(crate) fn task_error(error: &DataFusionError) -> TaskError {
    let sentence = sentence(error);
    match error.find_root() {
        DataFusionError::ObjectStore(cause) => match **cause {
            object_store::Error::NotFound { .. }
            | object_store::Error::InvalidPath { .. }
            | object_store::Error::NotSupported { .. }
            | object_store::Error::NotImplemented { .. }
            | object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. }
            | object_store::Error::UnknownConfigurationKey { .. } => TaskError::fatal(sentence),
            _ => TaskError::retryable(sentence),
        },
        DataFusionError::IoError(cause) => io_error(cause, sentence),
        DataFusionError::ArrowError(arrow, _) => match &**arrow {
            ArrowError::IoError(_, cause) => io_error(cause, sentence),
            _ => TaskError::fatal(sentence),
        },
        DataFusionError::ResourcesExhausted(_) if sentence.contains("disk") => {
            TaskError::worker_fault(format!(
                "the query's stage found no room to spill: {sentence}; free the scratch folder's \
                 disk or give the workers a larger one"
            ))
        }
        DataFusionError::ResourcesExhausted(_) => TaskError::retryable(format!(
            "the query's stage needs more memory than its worker gives: {sentence}; give the \
             workers more memory, or plan the query with more partitions"
        )),
        _ => TaskError::fatal(sentence),
    }
}

fn io_error(cause: &io::Error, sentence: String) -> TaskError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TaskError::worker_fault(
            format!("the worker's disk is full: {sentence}; free its scratch folder"),
        ),
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidData
        | io::ErrorKind::Unsupported => TaskError::fatal(sentence),
        _ => TaskError::retryable(sentence),
    }
}
