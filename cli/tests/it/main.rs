//! The built `dasklet` program, run as people run it. One test binary, because linking it is
//! what costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod cluster;
mod elastic;
mod full_disk;
mod kills;
mod ledger;
mod manifest;
mod roles;
mod scheduler_deaths;
mod spill;
mod sql;
mod support;
mod tasks;
mod versions;
