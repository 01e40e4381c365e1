//! Real workers driven by a scheduler that the tests play.

mod commands;
mod connection;
mod fake;
mod inputs;
mod memory;
mod processes;
mod runs;
mod tasks;
