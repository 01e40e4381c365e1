//! Throughput: many tasks at once.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use dasklet_client::{Graph, Node};

use crate::{
    cluster::{Cluster, Workers},
    report::Report,
};

/// Workers of a throughput benchmark.
#[derive(Debug, Clone, Copy, Args)]
pub struct Fleet {
    /// Workers
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Tasks at once on each
    #[arg(long, default_value_t = 1)]
    slots: u32,
    /// Workers that answer at once and run nothing
    #[arg(long)]
    zero: bool,
}

impl Fleet {
    async fn start(self) -> Result<Cluster> {
        let Self { workers: number, slots, zero } = self;
        Cluster::start(Workers { number, slots, zero }).await
    }

    fn report(self, name: &str, tasks: u64) -> Report {
        Report::new(name)
            .with("tasks", tasks)
            .with("workers", self.workers)
            .with("slots", self.slots)
            .with("zero", self.zero)
    }
}

/// Options of `noop`.
#[derive(Debug, Args)]
pub struct Noop {
    #[command(flatten)]
    fleet: Fleet,
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u32,
    /// One task array instead of tasks described one by one
    #[arg(long)]
    array: bool,
}

/// Independent tasks: from the first submission until the last is known to have ended.
pub async fn noop(options: &Noop) -> Result<Option<Report>> {
    let mut cluster = options.fleet.start().await?;
    let client = cluster.client.clone();
    // Connections and run times are known before the clock starts.
    client.array::<()>("noop", 1000)?.wait().await?;
    cluster.mark()?;
    let begun = Instant::now();
    if options.array {
        client.array::<()>("noop", options.tasks)?.wait().await?;
    } else {
        let items = (0..options.tasks).map(|_| ());
        client.map::<(), _>("noop", items).await?.wait().await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let tasks = u64::from(options.tasks);
    let report = options.fleet.report("noop", tasks).with("array", options.array);
    report.with_rate(tasks, seconds, &cluster).map(Some)
}

/// Options of `tree`.
#[derive(Debug, Args)]
pub struct Tree {
    #[command(flatten)]
    fleet: Fleet,
    /// Levels: 16 are 65,535 tasks
    #[arg(long, default_value_t = 16)]
    depth: u32,
}

/// A binary tree of additions, its leaves being tasks, too: from the submission of the finished
/// description to the sum.
pub async fn tree(options: &Tree) -> Result<Option<Report>> {
    ensure!((1..=24).contains(&options.depth), "--depth must be from 1 to 24");
    let mut cluster = options.fleet.start().await?;
    let client = cluster.client.clone();
    let leaves = 1u64 << (options.depth - 1);
    let mut graph = Graph::new();
    let mut level: Vec<Node> = (0..leaves).map(|_| graph.op("identity", (1,))).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| graph.op("add", (pair[0], pair[1]))).collect();
    }
    client.array::<()>("noop", 1000)?.wait().await?;
    cluster.mark()?;
    let begun = Instant::now();
    let sum = client.compute::<u64>(&graph, level[0])?;
    sum.wait().await?;
    let seconds = begun.elapsed().as_secs_f64();
    if !options.fleet.zero {
        let sum = sum.await?;
        ensure!(sum == leaves, "the sum is {sum}, expected {leaves}");
    }
    let tasks = graph.len() as u64;
    options.fleet.report("tree", tasks).with_rate(tasks, seconds, &cluster).map(Some)
}
