//! How fast and how light the operator is, on simulated nodes.

mod bare;
mod census;
mod measure;
mod process;

pub use measure::{Size, measure};
