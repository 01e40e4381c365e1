//! What tasks cost before they can run.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::{
    cluster::{Cluster, Workers},
    report::Report,
};

/// Options of `pending-memory`.
#[derive(Debug, Args)]
pub struct Options {
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u32,
    /// One task array instead of tasks described one by one
    #[arg(long)]
    array: bool,
}

/// Tasks for a cluster without workers: growth of the scheduler's resident memory, and the rate
/// from the first submission until all are accepted.
pub async fn run(options: &Options) -> Result<Option<Report>> {
    let mut cluster = Cluster::start(Workers { number: 0, slots: 1, zero: true }).await?;
    let client = cluster.client.clone();
    // Buffers of the connection have their size before memory is measured.
    let job = client.job("warm-up");
    let some = job.map::<(), _>("noop", (0..50_000).map(|_| ())).await?;
    accepted(&job, 50_000).await?;
    some.cancel();
    drop(some);

    let before = cluster.scheduler.resident_bytes()?;
    let job = client.job("pending");
    cluster.mark()?;
    let begun = Instant::now();
    // Handles are kept until the processes end: their release is no part of the measurement.
    if options.array {
        std::mem::forget(job.array::<()>("noop", options.tasks)?);
    } else {
        std::mem::forget(job.map::<(), _>("noop", (0..options.tasks).map(|_| ())).await?);
    }
    accepted(&job, options.tasks.into()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = cluster.scheduler.resident_bytes()?;
    let bytes = after.saturating_sub(before) as f64 / f64::from(options.tasks);
    let report = Report::new("pending-memory")
        .with("tasks", options.tasks)
        .with("array", options.array)
        .with("bytes_per_task", bytes)
        .with_rate(options.tasks.into(), seconds, &cluster)?;
    Ok(Some(report))
}

async fn accepted(job: &dasklet_client::Job, tasks: u64) -> Result<()> {
    let mut progress = job.progress();
    progress.wait_for(|progress| progress.tasks.total >= tasks).await?;
    Ok(())
}
