//! What the program does beside running: the image holds nothing else.

use clap::{Args, Parser, Subcommand};
use kube::Client;

use crate::{
    check::{self, NotReady},
    crds::{self, CrdError},
    options::Options,
};

/// Runs Dask-style clusters on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "dasklet-operator", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do [default: run].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run.
    #[command(flatten)]
    pub options: Options,
}

/// What to do beside running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Install or upgrade the definitions of the resources (needs rights on them).
    Crds(Definitions),
    /// Ask a running operator whether it is ready; `helm test` does.
    Check(Check),
}

/// The definitions of the resources.
#[derive(Debug, Clone, Args)]
pub struct Definitions {
    /// Print them as YAML instead.
    #[arg(long)]
    pub print: bool,
}

/// Which operator to ask.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Where it serves its metrics.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080")]
    pub url: String,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The definitions are not in place.
    #[error(transparent)]
    Definitions(#[from] CrdError),
    /// The operator is not ready.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// There is no API server.
    #[error("no API server is configured: set KUBECONFIG, or run in a pod ({0})")]
    NoServer(String),
}

/// Carries a command out.
///
/// # Errors
/// [`CommandError`] says what to do.
pub async fn carry_out(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Crds(Definitions { print: true }) => print!("{}", crds::print()?),
        Command::Crds(Definitions { print: false }) => {
            let client = Client::try_default().await;
            let client = client.map_err(|error| CommandError::NoServer(error.to_string()))?;
            crds::apply(client).await?;
        }
        Command::Check(Check { url }) => {
            check::ready(&url).await?;
            println!("ready");
        }
    }
    Ok(())
}
