//! What the operator tells about itself: metrics, health, readiness.

mod http;
mod metrics;

pub use http::{Health, serve};
pub use metrics::Metrics;
