//! The whole operator against an API server in memory, without and with faults below its client.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used)]

mod asked;
mod clusters;
mod end_state;
mod faults;
mod groups;
mod harness;
mod jobs;
mod memory;
mod properties;
mod real;
mod scaling;
mod scenario;
mod server;
mod sim;
mod store;
mod takeover;
mod walk;
mod weather;
