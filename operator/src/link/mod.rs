//! The link to schedulers: one poller for each cluster, which keeps the latest answers and carries
//! out orders. Nothing else in the operator ever waits for a scheduler.

mod api;
mod engine;
mod http;
mod poller;

pub use api::{LinkError, SchedulerApi};
pub use engine::Engine;
pub use http::Http;
pub use poller::{Poller, Told};
