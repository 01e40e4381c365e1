//! What the tests of the resource types share; no test uses all of it.

#![allow(dead_code, clippy::unwrap_used)]

pub mod corpus;
pub mod server;
pub mod structural;
