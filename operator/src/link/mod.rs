//! The link to schedulers: one poller for each cluster, which keeps the latest answers and carries
//! out orders. Nothing else in the operator ever waits for a scheduler.

mod api;
mod detect;
mod engine;
mod http;
mod poller;
mod stock;

pub use api::{LinkError, SchedulerApi};
pub use detect::Detected;
pub use engine::Engine;
pub use http::Http;
pub use poller::{Poller, Told};
pub use stock::Stock;
