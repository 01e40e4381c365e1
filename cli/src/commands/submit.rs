//! `dasklet submit`: jobs on a scheduler that runs already.

use std::path::PathBuf;

use clap::Args;

use crate::{
    exit::Failure,
    manifests::read_good,
    runner::{Reporting, Runner},
    scenario::Scenario,
};

/// Runs the jobs of manifests on an existing scheduler; clusters in them are passed over.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet submit -f job.yaml
  dasklet submit -f job.yaml --scheduler tcp://127.0.0.1:8786

Ctrl-C takes the jobs back: their tasks are cancelled.")]
pub struct Submit {
    /// Manifests: YAML files of one or more documents; - reads standard input
    #[arg(long = "file", short = 'f', required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Address of the scheduler
    #[arg(
        long,
        short,
        env = "DASK_SCHEDULER_ADDRESS",
        default_value = "tcp://127.0.0.1:8786",
        value_name = "tcp://HOST:PORT"
    )]
    scheduler: String,
    #[command(flatten)]
    reporting: Reporting,
}

/// Runs the command.
pub async fn run(submit: Submit) -> Result<(), Failure> {
    let console = submit.reporting.console();
    let manifests = read_good(&submit.files, |warning| console.line(warning))?;
    let scenario = Scenario::of_jobs(&manifests)?;
    if scenario.jobs.is_empty() {
        return Err(Failure::bad_input(
            "these manifests hold no job to submit: add a DaskJob with a workload",
        ));
    }
    let journal = submit.reporting.journal()?;
    let runner = Runner::new(submit.reporting, journal)?;
    let outcome = runner.run_jobs(&scenario.jobs, |_| Some(submit.scheduler.clone())).await;
    runner.finish(outcome).await
}
