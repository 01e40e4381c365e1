//! `dasklet scheduler` and `dasklet worker`: this program in the roles of a cluster's processes.

use std::{ffi::CString, process::ExitCode};

use clap::Args;

use crate::{exit::Exit, logging, substrate::Role};

/// Runs a scheduler in the foreground.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet scheduler
  dasklet scheduler --port 0 --http-port 0 --output json   # free ports, told in a JSON line")]
pub struct Scheduler {
    #[command(flatten)]
    options: dasklet_scheduler::server::Options,
}

/// Runs a worker in the foreground.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet worker --scheduler tcp://127.0.0.1:8786
  dasklet worker --scheduler tcp://10.0.0.1:8786 --threads 4 --memory-limit 8Gi --resources GPU=1")]
pub struct Worker {
    #[command(flatten)]
    options: dasklet_worker::worker::Options,
}

/// Runs the scheduler's role.
pub fn scheduler(scheduler: Scheduler) -> ExitCode {
    become_role(Role::Scheduler);
    finish(dasklet_scheduler::server::main(scheduler.options))
}

/// Runs the worker's role.
pub fn worker(worker: Worker) -> ExitCode {
    become_role(Role::Worker);
    finish(dasklet_worker::serve(worker.options, dasklet_worker::Registry::standard()))
}

fn become_role(role: Role) {
    logging::start(false);
    // The kernel keeps 15 bytes of it; a name is not worth failing for.
    if let Ok(name) = CString::new(role.process_name()) {
        let _ = rustix::thread::set_name(&name);
    }
}

fn finish(outcome: Result<(), impl std::fmt::Display>) -> ExitCode {
    match outcome {
        Ok(()) => Exit::Success.into(),
        Err(error) => {
            eprintln!("dasklet: {error}");
            Exit::NoCluster.into()
        }
    }
}
