//! `scale`: the operator on simulated nodes.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use dasklet_e2e::scale::{Size, measure};

use crate::commands::images;

#[derive(clap::Args)]
pub struct Arguments {
    /// Clusters that are applied at once.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    clusters: usize,
    /// Workers of each.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    workers: usize,
    /// For so long the demand of all schedulers changes each second.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    restless: u64,
    /// For so long nothing happens, and writes are counted.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    idle: u64,
    #[command(flatten)]
    images: images::Arguments,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let operator = arguments.images.operator()?;
    let size = Size {
        clusters: arguments.clusters,
        workers: arguments.workers,
        restless: Duration::from_secs(arguments.restless),
        idle: Duration::from_secs(arguments.idle),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(measure(&operator, size))?);
    Ok(ExitCode::SUCCESS)
}
