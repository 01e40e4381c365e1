//! Replays a trace of demand against a policy, with a small queueing model in place of a cluster,
//! and tells what would have happened.

mod model;
mod timeline;
mod trace;

pub use model::simulate;
pub use timeline::{Row, Summary, Timeline};
pub use trace::{BadTrace, Trace, TraceEvent};
