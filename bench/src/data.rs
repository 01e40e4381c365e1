//! Large outputs from process to process.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use dasklet_client::TaskSpec;

use crate::{
    cluster::{Cluster, Workers},
    report::Report,
};

/// Options of `transfer`.
#[derive(Debug, Args)]
pub struct Options {
    /// Bytes of the output
    #[arg(long, default_value_t = 256 << 20)]
    bytes: u32,
    /// How often
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// To the client instead of another worker
    #[arg(long)]
    to_client: bool,
}

/// From the submission of a task that reads the output on another worker to its end (or from the
/// client's request to its last byte), and the same bytes over a bare loopback connection.
pub async fn run(options: &Options) -> Result<Option<Report>> {
    ensure!(options.rounds > 0, "--rounds must be above 0");
    let mut cluster = Cluster::start(Workers { number: 2, slots: 1, zero: false }).await?;
    let client = cluster.client.clone();
    let (mut times, mut bare) = (Vec::new(), Vec::new());
    cluster.mark()?;
    for round in 0..options.rounds {
        let make = TaskSpec::op("bytes", (options.bytes, round))?.workers(["bench-0"]);
        let made = client.submit_task::<()>(&make)?;
        made.wait().await?;
        let begun = Instant::now();
        if options.to_client {
            let bytes = made.bytes().await?;
            ensure!(bytes.len() >= options.bytes as usize, "the client got {} bytes", bytes.len());
        } else {
            let read = TaskSpec::op("sum_bytes", (&made,))?.workers(["bench-1"]);
            let bytes: u32 = client.submit_task(&read)?.await?;
            ensure!(bytes >= options.bytes, "the worker got {bytes} bytes");
        }
        times.push(begun.elapsed().as_secs_f64() * 1e6);
        bare.push(bare_copy(options.bytes as usize)? * 1e6);
    }
    let (cpu, each) = cluster.cpu_since_mark()?;
    let reference = median(&mut bare);
    let middle = median(&mut times);
    let gigabytes = f64::from(options.bytes) / 1e9;
    let report = Report::new("transfer")
        .with("bytes", options.bytes)
        .with("rounds", options.rounds)
        .with("to_client", options.to_client)
        .with("seconds", middle / 1e6)
        .with("gigabytes_per_second", gigabytes / (middle / 1e6))
        .with("bare_gigabytes_per_second", gigabytes / (reference / 1e6))
        .with("ratio", reference / middle)
        .with("cpu_seconds_per_gigabyte", cpu / gigabytes / f64::from(options.rounds))
        .with("cpu_seconds", each);
    Ok(Some(report.with_percentiles(&mut times)))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds to copy so many bytes from one thread to another over loopback TCP into memory.
fn bare_copy(bytes: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let source = vec![7u8; bytes];
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        // The request, as the reader of an output sends one.
        stream.read_exact(&mut [0; 1])?;
        stream.write_all(&source)
    });
    let mut stream = TcpStream::connect(address)?;
    let begun = Instant::now();
    stream.write_all(&[1])?;
    let mut copy = Vec::with_capacity(bytes);
    stream.read_to_end(&mut copy)?;
    let seconds = begun.elapsed().as_secs_f64();
    sender.join().ok().context("the sender failed")??;
    ensure!(copy.len() == bytes, "the bare copy got {} bytes", copy.len());
    Ok(seconds)
}
