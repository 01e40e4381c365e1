//! What went wrong with a task, by what can be done about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an error means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// The task's own error; tried again only within its retries.
    Fatal,
    /// A passing condition; tried again within its retries.
    Retryable,
    /// The worker could not run it (disk full, no process to be had); tried elsewhere, and does
    /// not count.
    WorkerFault,
    /// An input could not be read from any holder; does not count.
    InputLost,
    /// The process that ran it died; counts against the limit of deaths.
    Crashed,
    /// It ran longer than its timeout; tried again within its retries.
    TimedOut,
    /// It was cancelled.
    Cancelled,
}

/// An error of a task: its class and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct TaskError {
    /// What it means for the next attempt.
    pub class: ErrorClass,
    /// Names the thing, what is wrong, and what to do.
    pub message: String,
}

impl TaskError {
    /// An error of this class.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// The task's own error.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Fatal, message)
    }

    /// A passing condition.
    #[must_use]
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Retryable, message)
    }

    /// The worker's fault.
    #[must_use]
    pub fn worker_fault(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::WorkerFault, message)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
