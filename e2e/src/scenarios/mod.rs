//! The scenarios, by what they are about.

mod autoscale;
mod cluster;
mod dask;
mod deaths;
mod engine;
mod job;
mod list;
mod operator;
mod pods;

pub use list::all;
