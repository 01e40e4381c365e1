//! `dasklet scheduler` and `dasklet worker`: this program in the roles of a cluster's processes.

use std::{ffi::CString, process::ExitCode, time::Duration};

use clap::Args;

use crate::{exit::Exit, logging, substrate::Role};

/// How often a child looks whether its parent is still there.
const LOOK_FOR_PARENT_EVERY: Duration = Duration::from_millis(500);
/// How long the role's own way to end may take once the parent is gone.
const ORDERLY_END: Duration = Duration::from_secs(2);

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
    become_role(Role::Scheduler, scheduler.options.exit_with_parent);
    finish(dasklet_scheduler::server::main(scheduler.options))
}

/// Runs the worker's role.
pub fn worker(worker: Worker) -> ExitCode {
    become_role(Role::Worker, worker.options.exit_with_parent);
    finish(dasklet_worker::serve(worker.options, dasklet_worker::Registry::standard()))
}

fn become_role(role: Role, with_parent: bool) {
    logging::start(false);
    if with_parent {
        end_after_parent();
    }
    // The kernel keeps 15 bytes of it; a name is not worth failing for.
    if let Ok(name) = CString::new(role.process_name()) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// The role itself ends in order when its parent is gone. If it cannot, because what should do so
/// is stuck, this thread ends the process.
fn end_after_parent() {
    let parent = rustix::process::getppid();
    std::thread::spawn(move || {
        while rustix::process::getppid() == parent {
            std::thread::sleep(LOOK_FOR_PARENT_EVERY);
        }
        std::thread::sleep(ORDERLY_END);
        std::process::exit(i32::from(Exit::NoCluster as u8));
    });
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
