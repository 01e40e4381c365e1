//! What an operator does with a stock Dask scheduler: see what it has and needs, and take workers
//! out of it without losing data.

mod drain;
mod draining;
mod endpoints;
mod error;
mod http;
mod observation;
mod scheduler;
mod speaks;
mod standing;

pub use endpoints::{Endpoints, HttpAddress, Patience};
pub use error::{HttpError, StockError};
pub use observation::{Observation, Source};
pub use scheduler::StockScheduler;
pub use speaks::Speaks;
pub use standing::{Standing, WorkerRef};
