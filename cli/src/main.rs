//! `dasklet`: the one program of dasklet, in every role.
//!
//! `args` says what can be typed; `commands` has one module for each subcommand; `substrate`
//! turns the decisions of `dasklet_elastic` into processes of this machine; `workload` runs what
//! a manifest asks for. Start with `commands/run.rs`.

mod account;
mod args;
mod clock;
mod commands;
mod console;
mod events;
mod exit;
mod http;
mod interrupt;
mod logging;
mod machine;
mod manifests;
mod runner;
mod scenario;
mod substrate;
mod workload;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == dasklet_worker::GUARD_ARGUMENT) {
        return dasklet_worker::guard_main(arguments);
    }
    args::Cli::parse_from(args::with_role(std::env::args_os())).run()
}
