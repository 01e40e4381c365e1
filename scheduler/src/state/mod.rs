//! The pure state machine: events in, actions out. It never awaits, reads a clock or touches a
//! socket; whoever calls it tells it the time.
//!
//! Start with `machine` (what there is), then `tasks` (how a task's state changes), `available` and
//! `lineage` (how outputs that come and go move their consumers), `release` (what is no longer
//! needed), and `placement` (what runs where). `invariants` says what always holds.

mod actions;
mod available;
mod bits;
mod caches;
mod classes;
mod config;
#[cfg(test)]
mod copies_tests;
mod counters;
mod deaths;
#[cfg(test)]
mod deaths_tests;
mod demand;
mod drain;
mod events;
mod explain;
mod failures;
#[cfg(test)]
mod failures_tests;
mod forget;
mod giveback;
mod interface;
mod interned;
mod invariants;
mod jobs;
mod join;
mod lineage;
mod locality;
mod locals;
mod machine;
mod members;
mod news;
mod placement;
#[cfg(test)]
mod properties;
mod puts;
mod queue;
mod read;
mod release;
mod room;
mod runs;
mod sessions;
#[cfg(test)]
mod sessions_tests;
mod shared;
#[cfg(test)]
mod shared_tests;
mod spec;
mod submit;
mod submitted;
mod task_list;
mod tasks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timers;
#[cfg(test)]
mod timers_tests;
mod turns;
mod validate;
mod views;
mod workers;

pub use actions::*;
pub use config::Config;
pub use counters::Counters;
pub use interface::*;
pub use machine::State;
pub use submitted::*;
pub use views::*;

/// Hash maps keyed by ids.
pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
