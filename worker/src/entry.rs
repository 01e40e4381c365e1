//! The command line of a worker program.

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    guard::{GUARD_ARGUMENT, guard_main},
    options::Options,
    registry::Registry,
    worker::{self, WorkerError},
};

#[derive(Debug, Parser)]
#[command(name = "dasklet-worker", version, about = "Runs tasks for a dasklet scheduler")]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// `main` of a worker program: reads the command line, runs a worker with the operations of
/// `registry` until the scheduler sends it away or it gets a SIGTERM, and says on the standard
/// error why it ended if that was neither.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == GUARD_ARGUMENT) {
        return guard_main(arguments);
    }
    let options = Cli::parse().options;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that the log's disk does not take is lost; telling so there would panic.
        .log_internal_errors(false)
        .init();
    match serve(options, registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a worker on a runtime of its own, with the signals of a process: SIGTERM and SIGINT
/// drain it.
///
/// # Errors
/// Says in a sentence why the worker could not go on.
pub fn serve(options: Options, registry: Registry) -> Result<(), WorkerError> {
    let machine = |what: &str, reason: std::io::Error| WorkerError::Machine {
        what: what.to_owned(),
        reason: reason.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| machine("cannot start the runtime", error))?;
    let exit_with_parent = options.exit_with_parent;
    if exit_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .map_err(|error| machine("cannot follow the parent process", error.into()))?;
    }
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| machine("cannot listen to signals", error))?;
        let mut interrupt = signal(SignalKind::interrupt())
            .map_err(|error| machine("cannot listen to signals", error))?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let orphaned = async {
            if exit_with_parent { parent_gone().await } else { std::future::pending().await }
        };
        worker::run_unless(options, registry, shutdown, orphaned).await
    });
    runtime.shutdown_background();
    result
}

/// Ready when the standard input is closed. Reads on a thread of its own, because a read of the
/// standard input cannot be given up.
async fn parent_gone() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}
