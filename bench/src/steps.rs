//! Latency: one thing after another.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use dasklet_client::Graph;

use crate::{
    cluster::{Cluster, Workers},
    report::Report,
};

/// Tasks run before the clock starts.
const WARM_UP: u32 = 200;

/// Options of `chain`.
#[derive(Debug, Args)]
pub struct Chain {
    /// How many tasks, each of which needs the one before
    #[arg(long, default_value_t = 1000)]
    tasks: u32,
    /// Workers
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// How often
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

async fn cluster(number: u32) -> Result<Cluster> {
    let mut cluster = Cluster::start(Workers { number, slots: 1, zero: false }).await?;
    for value in 0..WARM_UP {
        cluster.client.submit::<u32>("identity", (value,))?.await?;
    }
    cluster.mark()?;
    Ok(cluster)
}

/// A chain submitted as a whole: `p50_us` and `p99_us` are of the mean step of each round.
pub async fn chain(options: &Chain) -> Result<Option<Report>> {
    ensure!(options.tasks > 0 && options.rounds > 0, "--tasks and --rounds must be above 0");
    let cluster = cluster(options.workers).await?;
    let mut steps = Vec::new();
    for _ in 0..options.rounds {
        let mut graph = Graph::new();
        let mut last = graph.op("identity", (0,));
        for _ in 1..options.tasks {
            last = graph.op("add", (last, 1));
        }
        let begun = Instant::now();
        let end: u32 = cluster.client.compute(&graph, last)?.await?;
        steps.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(options.tasks));
        ensure!(end + 1 == options.tasks, "the chain ended at {end}");
    }
    let seconds: f64 = steps.iter().sum::<f64>() * f64::from(options.tasks) / 1e6;
    let tasks = u64::from(options.tasks) * u64::from(options.rounds);
    let report = Report::new("chain")
        .with("tasks", options.tasks)
        .with("rounds", options.rounds)
        .with("workers", options.workers)
        .with_rate(tasks, seconds, &cluster)?;
    Ok(Some(report.with_percentiles(&mut steps)))
}

/// Options of `latency`.
#[derive(Debug, Args)]
pub struct Latency {
    /// How many tasks, one after the other
    #[arg(long, default_value_t = 5000)]
    tasks: u32,
    /// Workers
    #[arg(long, default_value_t = 2)]
    workers: u32,
}

/// One task at a time: from its submission to its value.
pub async fn latency(options: &Latency) -> Result<Option<Report>> {
    ensure!(options.tasks > 0, "--tasks must be above 0");
    let cluster = cluster(options.workers).await?;
    let mut times = Vec::new();
    let all = Instant::now();
    for value in 0..options.tasks {
        let begun = Instant::now();
        let answer = cluster.client.submit::<u32>("identity", (value,))?.await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        ensure!(answer == value, "task {value} gave {answer}");
    }
    let seconds = all.elapsed().as_secs_f64();
    let report = Report::new("latency")
        .with("tasks", options.tasks)
        .with("workers", options.workers)
        .with_rate(u64::from(options.tasks), seconds, &cluster)?;
    Ok(Some(report.with_percentiles(&mut times)))
}
