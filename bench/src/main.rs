//! Measures dasklet. Each subcommand starts the processes it needs, runs one benchmark, prints
//! one JSON line, and ends what it started. `README.md` beside it defines every figure.

mod cluster;
mod data;
mod flow;
mod pending;
mod process;
mod recovery;
mod report;
mod state;
mod steps;
mod zero;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures dasklet: one JSON line a run
#[derive(Debug, Parser)]
#[command(name = "dasklet-bench", version)]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The scheduler's state machine alone, with no process around it
    State(state::Options),
    /// Independent tasks that do nothing
    Noop(flow::Noop),
    /// A tree of additions
    Tree(flow::Tree),
    /// Tasks that each need the one before
    Chain(steps::Chain),
    /// One task at a time, from submission to result
    Latency(steps::Latency),
    /// Tasks that cannot run: their memory in the scheduler, and how fast they are accepted
    PendingMemory(pending::Options),
    /// From the SIGKILL of a worker to the next start of its task
    Recovery(recovery::Options),
    /// A large output from one worker to another
    Transfer(data::Options),
    /// Many workers that run nothing, in one process
    #[command(hide = true)]
    ZeroWorkers(zero::Options),
}

fn main() -> Result<()> {
    let what = Bench::parse().what;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        match what {
            What::State(options) => state::run(&options),
            What::Noop(options) => flow::noop(&options).await,
            What::Tree(options) => flow::tree(&options).await,
            What::Chain(options) => steps::chain(&options).await,
            What::Latency(options) => steps::latency(&options).await,
            What::PendingMemory(options) => pending::run(&options).await,
            What::Recovery(options) => recovery::run(&options).await,
            What::Transfer(options) => data::run(&options).await,
            What::ZeroWorkers(options) => zero::run(&options).await,
        }
    })?;
    if let Some(report) = report {
        report.print();
    }
    Ok(())
}
