//! Native operations: Rust functions that tasks name.

mod call;
mod context;
mod numbers;
mod operations;
mod standard;

pub use context::TaskContext;
pub use operations::{Described, Registry};

pub(crate) use context::SlotFlags;
pub(crate) use operations::{Operation, Returned};
