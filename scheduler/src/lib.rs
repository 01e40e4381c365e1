//! The scheduler: [`state`] decides, [`server`] talks.
//!
//! `state` is a plain state machine: it never awaits, reads a clock or touches a socket, so that
//! every interleaving can be replayed in a test. `server` holds the shells around it: gRPC for
//! clients and workers, HTTP for people, tools and the operator. Start with `state`.

mod histogram;
pub mod server;
pub mod state;
