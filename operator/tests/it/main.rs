//! The whole operator against an API server in memory, without and with faults below its client.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

mod clusters;
mod faults;
mod groups;
mod harness;
mod jobs;
mod properties;
mod scaling;
mod server;
mod sim;
mod store;
mod takeover;
