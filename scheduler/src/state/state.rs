//! The state machine's parts.

use dasklet_core::Epoch;

use super::{Action, Config, Counters, spec::Specs};

/// All that the scheduler knows and decides. Tell it what happened, call
/// [`State::schedule`], carry out [`State::take_actions`].
pub struct State {
    pub(super) config: Config,
    pub(super) specs: Specs,
    pub(super) counters: Counters,
    pub(super) actions: Vec<Action>,
}

impl State {
    /// Empty.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            specs: Specs::default(),
            counters: Counters::default(),
            actions: Vec::new(),
        }
    }

    /// This life of the scheduler.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.config.epoch
    }

    /// Appends what is to be done, in order, and forgets it.
    pub fn take_actions(&mut self, into: &mut Vec<Action>) {
        into.append(&mut self.actions);
    }
}
