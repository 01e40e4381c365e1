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
mod sql;

pub use list::all;
