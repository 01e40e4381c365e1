//! Why a call got no answer.

use std::time::Duration;

use crate::{connection::ConnectionError, error::CodecError, failure::Failure, value::ShapeError};

/// Why a call got no answer that we can use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcError {
    /// An address that is none.
    #[error("'{address}' is not a Dask scheduler's address: {reason}; write tcp://HOST:PORT")]
    BadAddress {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach a Dask scheduler at {address}: {reason}; is it running?")]
    Unreachable {
        /// Which was tried.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// Somebody answers there who is no Dask scheduler, or none that we understand.
    #[error(
        "what answers at {address} is no Dask scheduler: {reason}; check the address and its port"
    )]
    NotDask {
        /// Which was tried.
        address: String,
        /// What it sent.
        reason: CodecError,
    },
    /// The connection ended before the answer came: whether the call was carried out is unknown.
    #[error(
        "the Dask scheduler at {address} went away during '{op}': {reason}; whether it was done \
         is unknown, ask again"
    )]
    Lost {
        /// Of the scheduler.
        address: String,
        /// The call.
        op: String,
        /// What the system said.
        reason: String,
    },
    /// No answer within the caller's time: whether the call is still being carried out is
    /// unknown.
    #[error(
        "the Dask scheduler at {address} did not answer '{op}' within {} s; it may still be at it",
        .after.as_secs_f64()
    )]
    Timeout {
        /// Of the scheduler.
        address: String,
        /// The call, or `connect`.
        op: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The handler raised an exception.
    #[error("the Dask scheduler at {address} failed at '{op}': {failure}")]
    Failed {
        /// Of the scheduler.
        address: String,
        /// The call.
        op: String,
        /// The exception.
        failure: Failure,
    },
    /// An answer of another shape than expected, `None` from a scheduler without that call.
    #[error(
        "the Dask scheduler at {address} gave an answer to '{op}' that we do not understand: \
         {reason}; its version of distributed may not be supported"
    )]
    Misunderstood {
        /// Of the scheduler.
        address: String,
        /// The call.
        op: String,
        /// What is wrong with it.
        reason: ShapeError,
    },
    /// The connection was given up in an earlier call.
    #[error("the connection to the Dask scheduler at {address} broke earlier: connect anew")]
    Broken {
        /// Of the scheduler.
        address: String,
    },
}

impl RpcError {
    pub(crate) fn of_connect(error: ConnectionError, address: String) -> Self {
        match error {
            ConnectionError::Codec(reason) => Self::NotDask { address, reason },
            other => Self::Unreachable { address, reason: other.to_string() },
        }
    }

    pub(crate) fn of_call(error: ConnectionError, address: String, op: String) -> Self {
        match error {
            ConnectionError::Codec(reason) => Self::NotDask { address, reason },
            other => Self::Lost { address, op, reason: other.to_string() },
        }
    }

    /// The exception that the handler raised.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }
}
