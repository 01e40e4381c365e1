//! The objects that are made, as JSON: pure functions of the specs. User's pod specs stay as they
//! are written, with what workers need added to them.

mod container;
mod deployment;
mod fingerprint;
mod group;
mod metadata;
mod place;
mod runner;
mod service;
mod worker;

pub use deployment::{Scheduler, deployment};
pub use fingerprint::{fingerprint, merge_diff};
pub use group::{group, group_patch};
pub use metadata::{Parent, propagated};
pub use place::Place;
pub use runner::{Runner, runner};
pub use service::service;
pub use worker::{Worker, worker};
