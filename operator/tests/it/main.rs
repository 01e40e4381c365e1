//! The whole operator against an API server in memory, without and with faults below its client.

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
