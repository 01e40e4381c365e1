//! The processes inside the namespaces.

use std::{process::Command, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;
use dasklet_e2e::{Cluster, namespaces, run_folder::Owner};

use crate::commands::{arguments::Within, attached, run};

/// The first process: becomes the parent of all orphans.
pub fn init(within: &Within) -> Result<ExitCode> {
    let mut command = Command::new(std::env::current_exe().context("where this program is")?);
    command.args(["inside", "--owner", &within.owner, "--folder"]).arg(&within.folder);
    if within.up {
        command.arg("--up");
    }
    command.arg("--").args(&within.rest);
    namespaces::init(command)
}

#[derive(Parser)]
struct Inner {
    #[command(flatten)]
    run: run::Arguments,
}

/// What was typed, as the outer process handed it on.
pub fn arguments(within: &Within) -> Result<run::Arguments> {
    let words = std::iter::once("inside".into()).chain(within.rest.iter().cloned());
    Ok(Inner::try_parse_from(words)?.run)
}

/// The second process: starts the cluster and runs the scenarios.
pub fn run(within: &Within, arguments: &run::Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(start(within, arguments))
}

async fn start(within: &Within, arguments: &run::Arguments) -> Result<ExitCode> {
    let begin = Instant::now();
    let owner = Owner::parse(&within.owner).context("an owner")?;
    let cluster = Cluster::start(&within.folder, owner, arguments.nodes).await?;
    eprintln!("cluster ready after {:.1} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    for archive in arguments.images.archives()? {
        attached::load(&within.folder, &archive)?;
    }
    eprintln!("images loaded in {:.1} s", begin.elapsed().as_secs_f64());
    if within.up {
        eprintln!("from another terminal: cargo xtask e2e enter -- kubectl get pods -A");
        eprintln!("logs are in {}/logs; Ctrl-C ends it", within.folder.display());
        std::future::pending::<()>().await;
    }
    let outcome = run::scenarios(arguments, &cluster.kubeconfig(), true).await;
    let failed = !matches!(&outcome, Ok(code) if *code == ExitCode::SUCCESS);
    if failed {
        arguments.save_logs(&within.folder.join("logs"))?;
    }
    if failed && arguments.keep {
        if let Err(error) = &outcome {
            eprintln!("error: {error:#}");
        }
        eprintln!("the cluster stays until Ctrl-C: cargo xtask e2e enter");
        std::future::pending::<()>().await;
    }
    outcome
}
