//! Real workers driven by a scheduler that the tests play.

// A test that cannot go on says where it stopped.
#![allow(clippy::unwrap_used)]

mod commands;
mod connection;
mod fake;
mod inputs;
mod memory;
mod processes;
mod runs;
mod tasks;
