//! The pure state machine: events in, actions out. It never awaits, reads a clock or touches a
//! socket; whoever calls it tells it the time.
//!
//! Start with `machine` (what there is), then `tasks` (how a task's state changes), `available` and
//! `lineage` (how outputs that come and go move their consumers), `release` (what is no longer
//! needed), and `placement` (what runs where). `invariants` says what always holds.

mod available;
mod bits;
mod caches;
mod classes;
mod config;
#[cfg(test)]
mod copies_tests;
mod counters;
mod deaths;
mod demand;
mod drain;
mod events;
mod explain;
mod failures;
mod giveback;
mod interface;
mod invariants;
mod join;
mod lineage;
mod locality;
mod machine;
mod members;
mod placement;
#[cfg(test)]
mod properties;
mod puts;
mod queue;
mod read;
mod release;
mod runs;
mod sessions;
mod spec;
mod submit;
mod tasks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod validate;
mod views;
mod workers;

pub use config::Config;
pub use counters::Counters;
pub use interface::*;
pub use machine::State;
pub use views::*;

/// Hash maps keyed by ids.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
