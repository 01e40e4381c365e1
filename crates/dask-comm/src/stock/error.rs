//! Why a stock scheduler could not be asked.

use std::time::Duration;

use crate::{rpc::RpcError, value::ShapeError};

/// Why HTTP gave no answer that we can use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// An address that is none.
    #[error("'{address}' is no address of an HTTP interface: {reason}; write http://HOST:PORT")]
    BadAddress {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or not in HTTP.
    #[error("cannot reach {url}: {reason}; is the scheduler running?")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// No answer within the caller's time.
    #[error("{url} did not answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// What was asked for.
        url: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// An answer other than 200.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// Of the answer.
        status: u16,
    },
    /// HTTP answers, but does not tell who the workers are.
    #[error(
        "the Dask scheduler at {address} does not tell its workers over HTTP: let its port \
         tcp-comm be reached, or add distributed.http.scheduler.api to its setting \
         distributed.scheduler.http.routes"
    )]
    NoWorkers {
        /// Of the HTTP interface.
        address: String,
    },
    /// An answer that is not what a Dask scheduler says there.
    #[error("the answer of {url} is not what a Dask scheduler says there: {reason}")]
    Misunderstood {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl HttpError {
    /// Whether somebody answered, though not with what was asked for.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::Misunderstood { .. })
    }

    pub(super) fn misshapen(url: String, error: &ShapeError) -> Self {
        Self::Misunderstood { url, reason: error.to_string() }
    }
}

/// Why a stock scheduler could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StockError {
    /// Dask's protocol gave no answer, and there is no HTTP address to try.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// HTTP gave no answer, and there is no other address to try.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Neither gave an answer.
    #[error("{rpc}; nor by HTTP: {http}")]
    Neither {
        /// Over Dask's protocol.
        rpc: Box<RpcError>,
        /// Over HTTP.
        http: Box<HttpError>,
    },
    /// No address was given.
    #[error(
        "the scheduler has no address: its Service needs a port named tcp-comm or http-dashboard"
    )]
    NoAddress,
}

impl StockError {
    /// What went wrong on each way that there was.
    pub(super) fn on_ways(rpc: Option<RpcError>, http: Option<HttpError>) -> Self {
        match (rpc, http) {
            (Some(rpc), Some(http)) => Self::Neither { rpc: Box::new(rpc), http: Box::new(http) },
            (Some(rpc), None) => Self::Rpc(rpc),
            (None, Some(http)) => Self::Http(http),
            (None, None) => Self::NoAddress,
        }
    }
}
