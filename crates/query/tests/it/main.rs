//! Queries without a cluster. One test binary, because linking it is what costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod explain;
mod files;
mod queries;
mod results;
mod stages;
mod support;
