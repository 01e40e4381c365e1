//! The pure state machine.

mod interface;

pub use interface::*;
