//! `control-plane`: the light form, by hand.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use dasklet_e2e::{ControlPlane, Options, programs::Program};

#[derive(clap::Args)]
pub struct Arguments {
    /// How many simulated nodes there are.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    fake_nodes: usize,
    /// The simulated nodes refuse pods that do not tolerate them.
    #[arg(long)]
    tainted: bool,
    /// Only etcd and the API server.
    #[arg(long)]
    bare: bool,
    /// Write the kubeconfig here as well.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A command to run, instead of staying.
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(start(arguments))
}

async fn start(arguments: Arguments) -> Result<ExitCode> {
    let options = if arguments.bare {
        Options { controllers: false, scheduler: false, fake_nodes: 0, tainted: false }
    } else {
        let (fake_nodes, tainted) = (arguments.fake_nodes, arguments.tainted);
        Options { fake_nodes, tainted, ..Options::default() }
    };
    let plane = ControlPlane::start(&options).await?;
    let config = plane.kubeconfig();
    if let Some(copy) = &arguments.kubeconfig {
        std::fs::copy(&config, copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    let kubectl = Program::Kubectl.ensure()?;
    if let Some((program, rest)) = arguments.command.split_first() {
        let mut folders: Vec<_> = kubectl.parent().map(PathBuf::from).into_iter().collect();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let status = tokio::process::Command::new(program)
            .args(rest)
            .env("KUBECONFIG", &config)
            .env("PATH", std::env::join_paths(folders)?)
            .status()
            .await
            .with_context(|| format!("cannot start {}", program.display()))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    println!("export KUBECONFIG={}", config.display());
    eprintln!("kubectl is {}; logs are in {}/logs", kubectl.display(), plane.folder().display());
    eprintln!("Ctrl-C ends it");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}
