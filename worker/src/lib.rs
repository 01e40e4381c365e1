//! The worker: runs tasks, keeps their outputs, and hands them to its peers.
//!
//! Start with [`worker::run`]. What is to run, runs and has ended is the `agenda`; `executor`
//! threads take from it and the `session` with the scheduler fills and empties it. Outputs live
//! in the `store`, which spills them to disk; `fetch` reads outputs of peers, and `data` is
//! where peers read ours. `command` runs programs under a `guard` process, so that nothing
//! outlives the worker. Own operations are added through [`Registry`]. What must never be here:
//! decisions about where a task runs, and anything of DataFusion.

mod agenda;
mod assign;
mod command;
mod data;
mod entry;
mod executor;
mod fetch;
mod guard;
mod ladder;
mod limits;
mod memory;
mod msgpack;
mod news;
mod options;
mod own_address;
mod query;
mod queue;
mod quick;
mod registry;
mod session;
mod spec;
mod stage;
mod store;
pub mod worker;
mod zero;

pub use entry::{main, serve};
pub use guard::{GUARD_ARGUMENT, guard_main};
pub use registry::{Described, Registry, TaskContext};
pub use stage::{StageContext, StageInput, StageRunner};
