//! What can go wrong, as sentences that name the thing, the problem and the remedy.

use std::{fmt, sync::Arc};

use dasklet_core::ErrorClass;
use dasklet_protocol::v1;

/// Why a call to the client failed. Cheap to clone: the end of a session is the same error for
/// every handle.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// An address that is none.
    #[error("'{address}' is not a scheduler's address: {reason}; write tcp://HOST:PORT")]
    BadAddress {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error(
        "cannot reach a scheduler at {address}: {reason}; is it running, and is this its address?"
    )]
    Unreachable {
        /// Which was tried.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The scheduler does not want this client (its version, or a limit).
    #[error("the scheduler at {address} refused this client: {reason}")]
    Rejected {
        /// Of the scheduler.
        address: String,
        /// Its own words.
        reason: String,
    },
    /// The connection broke and did not come back in time.
    #[error(
        "lost the connection to the scheduler at {address} and could not restore it within \
         {seconds} s: {reason}; what was submitted in this session is given up, connect anew"
    )]
    ConnectionLost {
        /// Of the scheduler.
        address: String,
        /// How long it was tried.
        seconds: u64,
        /// The last error.
        reason: String,
    },
    /// The scheduler is a new process, or has dropped the session: it knows nothing of its tasks.
    #[error(
        "the scheduler at {address} was restarted or has ended this session: its tasks are lost, \
         connect anew and submit them again"
    )]
    SessionLost {
        /// Of the scheduler.
        address: String,
    },
    /// The client was closed while something was waited for.
    #[error("the client was closed: keep it open until the results are read")]
    Closed,
    /// The task ended without a result.
    #[error(transparent)]
    Task(Arc<Failure>),
    /// A value cannot be written as MessagePack.
    #[error("{what} cannot be sent: {reason}")]
    Encode {
        /// Which value.
        what: String,
        /// What the encoder said.
        reason: String,
    },
    /// A result is not of the expected type.
    #[error(
        "the result of task {task} is not a {expected}: {reason}; name another type, or read its bytes"
    )]
    Decode {
        /// Its number in this session.
        task: String,
        /// The Rust type.
        expected: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A task has fewer outputs than the one that was to be read.
    #[error(
        "task {task} has no output {output}: it has {outputs}, counted from 0; read one of these, \
         or submit it with more outputs"
    )]
    NoSuchOutput {
        /// Its number in this session.
        task: String,
        /// How many it has.
        outputs: u32,
        /// Which was asked for.
        output: u32,
    },
    /// A value could not be stored on any worker.
    #[error("could not store a put value of {nbytes} bytes: {reason}")]
    Put {
        /// Its size.
        nbytes: u64,
        /// What was tried.
        reason: String,
    },
    /// Handles of one session used in another.
    #[error("{what} belongs to another {owner}: use it only where it was made")]
    Foreign {
        /// The thing.
        what: &'static str,
        /// `client` or `graph`.
        owner: &'static str,
    },
    /// A description that makes no sense.
    #[error("bad task description: {0}")]
    BadTask(String),
}

impl ClientError {
    /// The class of a failed task's error; `None` if it is no task that failed.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Task(failure) => Some(failure.class),
            _ => None,
        }
    }
}

/// Why a task has no result, with every attempt at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the last error means.
    pub class: ErrorClass,
    /// For people.
    pub message: String,
    /// Every attempt, the first first.
    pub attempts: Vec<Attempt>,
    /// The task that failed first, if this one failed for its sake.
    pub origin: Option<String>,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1, 2, ...
    pub number: u32,
    /// Name of the worker.
    pub worker: String,
    /// It had begun, as far as is known.
    pub started: bool,
    /// How it ended.
    pub cause: String,
    /// How long it ran, in microseconds, as far as is known.
    pub micros: u64,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(origin) = &self.origin {
            write!(f, " (it needs task {origin}, which failed)")?;
        }
        for attempt in &self.attempts {
            write!(f, "\n  attempt {} on {}: {}", attempt.number, attempt.worker, attempt.cause)?;
            if !attempt.started {
                f.write_str(" before it had started")?;
            } else if attempt.micros > 0 {
                write!(f, " after {:.3} s", attempt.micros as f64 / 1e6)?;
            }
        }
        Ok(())
    }
}

impl From<v1::TaskFailure> for Failure {
    fn from(wire: v1::TaskFailure) -> Self {
        Self {
            class: class_from_wire(wire.class()),
            message: wire.message,
            attempts: wire
                .attempts
                .into_iter()
                .map(|attempt| Attempt {
                    number: attempt.number,
                    worker: attempt.worker,
                    started: attempt.started,
                    cause: attempt.cause,
                    micros: attempt.micros,
                })
                .collect(),
            origin: (!wire.key.is_empty()).then_some(wire.key),
        }
    }
}

const fn class_from_wire(class: v1::ErrorClass) -> ErrorClass {
    match class {
        v1::ErrorClass::Fatal => ErrorClass::Fatal,
        v1::ErrorClass::Retryable => ErrorClass::Retryable,
        v1::ErrorClass::WorkerFault => ErrorClass::WorkerFault,
        v1::ErrorClass::InputLost => ErrorClass::InputLost,
        v1::ErrorClass::Crashed => ErrorClass::Crashed,
        v1::ErrorClass::TimedOut => ErrorClass::TimedOut,
        v1::ErrorClass::Cancelled => ErrorClass::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lists_every_attempt() {
        let attempt = |number, started, cause: &str, micros| Attempt {
            number,
            worker: format!("w-{number}"),
            started,
            cause: cause.to_owned(),
            micros,
        };
        let failure = Failure {
            class: ErrorClass::Crashed,
            message: "task 'x' died 2 times".to_owned(),
            attempts: vec![
                attempt(1, true, "signal 6 (SIGABRT)", 1_500_000),
                attempt(2, false, "connection lost", 0),
            ],
            origin: None,
        };
        assert_eq!(
            ClientError::Task(Arc::new(failure)).to_string(),
            "task 'x' died 2 times\n  attempt 1 on w-1: signal 6 (SIGABRT) after 1.500 s\
             \n  attempt 2 on w-2: connection lost before it had started"
        );
    }
}
