//! What can be typed.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use dasklet_e2e::programs::Program;

use crate::commands::{attached, control_plane, enter, images, inside, outside, run, scale};

/// Runs the scenarios on a real Kubernetes that is started for them on this machine.
#[derive(Parser)]
#[command(
    name = "cargo xtask e2e",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo xtask e2e                          all scenarios, on a cluster of their own (needs root)
  cargo xtask e2e --only scale --keep      one of them; the cluster stays after a failure
  KUBECONFIG=... cargo xtask e2e           on a cluster that exists
  cargo xtask e2e up                       the cluster alone, until Ctrl-C
  cargo xtask e2e --attach --only sql      a scenario on the cluster that `up` started
  cargo xtask e2e enter -- kubectl get nodes"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster with the images loaded, and stay until Ctrl-C.
    Up(run::Arguments),
    /// Run a command, or a shell, inside the cluster that runs on this machine.
    ///
    /// KUBECONFIG is set, and kubectl and helm are on the path.
    Enter(enter::Arguments),
    /// Start etcd, an API server, the controllers and simulated nodes on loopback; needs no root.
    ///
    /// Prints the line that sets KUBECONFIG and stays until Ctrl-C; or, given a command after
    /// `--`, runs it with KUBECONFIG set and ends with its status.
    ///
    /// Example: cargo xtask e2e control-plane -- kubectl get nodes
    ControlPlane(control_plane::Arguments),
    /// Write the images' archives.
    Images(images::Arguments),
    /// Measure the operator on simulated nodes, beside a client that creates bare pods; one JSON
    /// line. Needs no root.
    Scale(scale::Arguments),
    /// List the scenarios.
    List,
    /// Build and install all that a cluster needs, and start nothing.
    Prepare,
    /// The first process of the namespaces.
    #[command(hide = true)]
    Init(Within),
    /// The process that starts the cluster, in the namespaces.
    #[command(hide = true)]
    Inside(Within),
    /// A process that joins the namespaces of a cluster that runs.
    #[command(hide = true)]
    Attached(Within),
    /// Print the path of a program of the cluster, which is built if it has to be.
    #[command(hide = true)]
    Program {
        /// Such as `helm`.
        name: String,
    },
}

/// What the outer process tells the inner ones.
#[derive(clap::Args)]
pub struct Within {
    /// The run's folder.
    #[arg(long)]
    pub folder: PathBuf,
    /// Its owner.
    #[arg(long)]
    pub owner: String,
    /// Start the cluster only.
    #[arg(long)]
    pub up: bool,
    /// The arguments of `run`.
    #[arg(last = true)]
    pub rest: Vec<OsString>,
}

impl Arguments {
    /// Does what was asked.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            None if self.run.attach => attached::run(&self.run),
            None => outside::run(&self.run, false),
            Some(Command::Up(arguments)) => outside::run(&arguments, true),
            Some(Command::Enter(arguments)) => enter::run(arguments),
            Some(Command::ControlPlane(arguments)) => control_plane::run(arguments),
            Some(Command::Images(arguments)) => images::run(&arguments),
            Some(Command::Scale(arguments)) => scale::run(&arguments),
            Some(Command::List) => run::list(),
            Some(Command::Prepare) => dasklet_e2e::cluster::prepare().map(|()| ExitCode::SUCCESS),
            Some(Command::Init(within)) => inside::init(&within),
            Some(Command::Inside(within)) => {
                let run = inside::arguments(&within)?;
                inside::run(&within, &run)
            }
            Some(Command::Attached(within)) => {
                let run = inside::arguments(&within)?;
                attached::inside(&within, &run)
            }
            Some(Command::Program { name }) => {
                println!("{}", Program::of_name(&name)?.ensure()?.display());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
