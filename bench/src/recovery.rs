//! How soon a killed worker's task runs again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use dasklet_client::Job;

use crate::{
    cluster::{Cluster, Workers},
    process::Process,
    report::Report,
};

/// Options of `recovery`.
#[derive(Debug, Args)]
pub struct Options {
    /// How often
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Every other slot is busy, so the task waits for one to come free
    #[arg(long)]
    busy: bool,
}

/// How long the tasks sleep.
const SLEEP: f64 = 0.5;

/// With a free slot: from the SIGKILL of the worker that runs a task to the start of the task on
/// another worker, which is its end less the time it sleeps. With `--busy`: from the end of the
/// task that held the only other slot, with more in the queue, to the start of the lost one.
pub async fn run(options: &Options) -> Result<Option<Report>> {
    ensure!(options.rounds > 0, "--rounds must be above 0");
    let begun = Instant::now();
    let mut times = Vec::new();
    for _ in 0..options.rounds {
        times.push(if options.busy { busy().await? } else { spare().await? } * 1e6);
    }
    let report = Report::new("recovery")
        .with("rounds", options.rounds)
        .with("busy", options.busy)
        .with("seconds", begun.elapsed().as_secs_f64());
    Ok(Some(report.with_percentiles(&mut times)))
}

async fn cluster() -> Result<Cluster> {
    let cluster = Cluster::start(Workers { number: 1, slots: 1, zero: false }).await?;
    cluster.client.submit::<()>("sleep", (0.01,))?.await?;
    Ok(cluster)
}

async fn running(job: &Job, tasks: u64) -> Result<()> {
    let mut progress = job.progress();
    progress.wait_for(|progress| progress.tasks.running >= tasks).await?;
    Ok(())
}

fn first_worker(cluster: &mut Cluster) -> Result<&mut Process> {
    cluster.workers.first_mut().context("there is no worker")
}

async fn spare() -> Result<f64> {
    let mut cluster = cluster().await?;
    let job = cluster.client.job("recovery");
    // Long enough that the second worker is there before it ends.
    let sleep = 2.0;
    let lost = job.submit::<()>("sleep", (sleep,))?;
    running(&job, 1).await?;
    cluster.add_worker("spare", 1, false)?;
    cluster.wait_for_workers(2).await?;
    first_worker(&mut cluster)?.kill()?;
    let killed = Instant::now();
    lost.wait().await?;
    Ok(killed.elapsed().as_secs_f64() - sleep)
}

async fn busy() -> Result<f64> {
    let mut cluster = cluster().await?;
    let job = cluster.client.job("recovery");
    let lost = job.submit::<()>("sleep", (2.0 * SLEEP,))?;
    running(&job, 1).await?;
    cluster.add_worker("other", 1, false)?;
    cluster.wait_for_workers(2).await?;
    let holds = job.submit::<()>("sleep", (SLEEP,))?;
    let queued = job.map::<(), _>("sleep", (0..6).map(|_| (SLEEP,))).await?;
    running(&job, 2).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    first_worker(&mut cluster)?.kill()?;
    holds.wait().await?;
    let free = Instant::now();
    lost.wait().await?;
    let waited = free.elapsed().as_secs_f64() - 2.0 * SLEEP;
    queued.cancel();
    Ok(waited)
}
