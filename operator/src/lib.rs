//! Runs Dask-style clusters on Kubernetes.
//!
//! What is decided lives in [`mod@plan`] and [`template`]: plain functions of what was observed
//! ([`observe`]), what the scheduler said and the present time, without a client, a clock or
//! async. Around them stand thin shells: [`watch`] hears what changes and [`world`] keeps it,
//! [`apply`] carries out writes, [`link`] asks schedulers, [`controller`] joins them. Start with
//! [`plan::plan`].

#![forbid(unsafe_code)]

pub mod apply;
pub mod check;
pub mod commands;
pub mod controller;
pub mod crds;
pub mod familiar;
pub mod leader;
pub mod link;
pub mod names;
pub mod observe;
pub mod options;
pub mod plan;
pub mod run;
pub mod serve;
pub mod shared;
pub mod teller;
pub mod template;
pub mod watch;
pub mod world;

/// Microseconds since 1970.
#[must_use]
pub fn now_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
