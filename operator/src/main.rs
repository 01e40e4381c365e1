//! The operator's program.

use anyhow::Context;
use clap::Parser;
use dasklet_operator::{
    commands::{Arguments, carry_out},
    options::LogFormat,
    run::run,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let Arguments { command, options } = Arguments::parse();
    let filter = EnvFilter::try_new(&options.log).context("--log")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    if let Some(command) = command {
        return Ok(carry_out(command).await?);
    }
    let client = kube::Client::try_default()
        .await
        .context("no API server is configured: set KUBECONFIG, or run in a pod")?;
    let (stop, stopped) = watch::channel(false);
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.send_replace(true);
    });
    run(options, client, stopped).await?;
    Ok(())
}
