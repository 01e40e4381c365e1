//! The shells around the state machine.
