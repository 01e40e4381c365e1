//! The scenarios, by what they are about.

mod autoscale;
mod cluster;
mod dask;
mod deaths;
mod engine;
mod failures;
mod installed;
mod job;
mod killer;
mod leader;
mod list;
mod namespaced;
mod nodes;
mod operator;
mod pods;
mod readme;
mod sql;
mod stock;
mod takeover;

pub use list::all;
