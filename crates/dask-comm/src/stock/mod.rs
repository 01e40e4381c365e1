//! What an operator does with a stock Dask scheduler: see what it has and needs, and take workers
//! out of it without losing data.
//!
//! [`StockScheduler`] does it in Dask's terms. [`StockApi`] puts it in the words of our own
//! scheduler's HTTP API, and is what an operator uses.

mod api;
mod drain;
mod draining;
mod endpoints;
mod error;
mod group;
mod http;
mod lost;
mod observation;
mod scheduler;
mod speaks;
mod standing;
mod translate;

pub use api::StockApi;
pub use endpoints::{Endpoints, HttpAddress, Patience};
pub use error::{HttpError, StockError};
pub use observation::{Observation, Source};
pub use scheduler::StockScheduler;
pub use speaks::Speaks;
pub use standing::{Standing, WorkerRef};

/// Work queued should be done within so many seconds, where nobody says otherwise: Dask's own
/// default.
const TARGET_SECONDS: f64 = 5.0;
