//! A stock Dask on this machine: scheduler, workers and clients as processes that end with the
//! test, however it ends.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "support of tests, of which each file uses a part"
)]

mod client;
mod cluster;
mod environment;
mod process;

pub use client::Client;
pub use cluster::{Cluster, Worker, until};
