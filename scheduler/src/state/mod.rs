//! The pure state machine.

mod config;
mod counters;
mod interface;
mod members;
mod signatures;
mod spec;
mod state;
mod views;

pub use config::Config;
pub use counters::Counters;
pub use interface::*;
pub use state::State;
pub use views::*;

/// Hash maps keyed by ids.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
