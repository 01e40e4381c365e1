//! The scenarios, by what they are about.

mod autoscale;
mod cluster;
mod dask;
mod deaths;
mod engine;
mod job;
mod leader;
mod list;
mod nodes;
mod operator;
mod pods;
mod sql;
mod stock;

pub use list::all;
