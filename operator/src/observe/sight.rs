//! What a scheduler last said.

use std::sync::Arc;

use dasklet_core::demand::{Demand, Member};

/// The latest answers of one scheduler, kept by its poller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sight {
    /// Its demand; `None` while it does not answer.
    pub demand: Option<Arc<Demand>>,
    /// Its workers, as last known.
    pub members: Arc<Vec<Member>>,
    /// Why there is no demand, with what to do about it.
    pub error: Option<String>,
    /// When it was said, in microseconds.
    pub at_micros: u64,
    /// Whether a drain that was asked for can be called back.
    pub revocable: bool,
}
