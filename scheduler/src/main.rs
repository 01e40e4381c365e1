//! The scheduler as a program: see `dasklet_scheduler::server`.

use std::process::ExitCode;

use clap::Parser;
use dasklet_scheduler::server::{self, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Places tasks on workers.
#[derive(Parser)]
#[command(name = "dasklet-scheduler", version)]
struct Program {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        // A line that the log's disk does not take is lost; telling so there would panic.
        .log_internal_errors(false)
        .init();
    match server::main(Program::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
