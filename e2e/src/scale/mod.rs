//! How fast and how light the operator is, on simulated nodes.

mod audit;
mod bare;
mod census;
mod endpoints;
mod measure;
mod process;

pub use measure::{Size, measure};
