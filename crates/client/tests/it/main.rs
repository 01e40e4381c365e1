//! The client against a scheduler that does what a test says, message by message.

mod results;
mod scripted;
mod sessions;
