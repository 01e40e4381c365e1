//! The client against a scheduler that does what a test says, message by message.
#![allow(clippy::unwrap_used)]

mod limits;
mod puts;
mod results;
mod scripted;
mod sessions;
