//! Commands: programs that tasks run, each in a scratch folder of its own, under a guard.

mod folder;
mod run;
mod table;

pub(crate) use run::start_all;
pub(crate) use table::{Commands, RunKey};
