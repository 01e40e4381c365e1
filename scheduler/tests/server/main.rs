//! The scheduler as its peers see it: real gRPC and HTTP against a scheduler in this process, with
//! workers and clients that speak the protocol and nothing else.
#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod http;
mod http_api;
mod limits;
mod sessions;
mod slow;
mod support;
mod worker;
mod workers;
