//! What can be typed, and which subcommand runs.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    commands::{explain, get, lint, roles, run, simulate, sql, submit},
    exit::{Exit, Failure},
    logging,
    substrate::Role,
};

/// Elastic compute clusters of Rust workers, on this machine or on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "dasklet",
    version,
    max_term_width = 100,
    after_help = "Examples:
  dasklet run -f examples/flights.yaml     start a cluster, run its jobs, stop it
  dasklet up -f examples/tasks.yaml        start a cluster, run its jobs, stay
  dasklet submit -f examples/tasks.yaml    run jobs on the cluster that stays
  dasklet get workers --watch              look at it
  dasklet sql \"SELECT count(*) FROM t\" --table 't=data/*.csv'

Exit codes:
    0  all went well
    1  a job failed, or what was asked about is not there
    2  bad input: arguments, manifests, the SQL of `dasklet sql`
    3  the cluster could not be started or reached
  130  stopped by Ctrl-C or SIGTERM

Log level: DASKLET_LOG=error|warn|info|debug, default warn."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Up(run::Up),
    Submit(submit::Submit),
    Sql(sql::Sql),
    Get(get::Get),
    Explain(explain::Explain),
    Lint(lint::Lint),
    Simulate(simulate::Simulate),
    Scheduler(roles::Scheduler),
    Worker(roles::Worker),
}

impl Cli {
    /// Runs the subcommand to its end.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Scheduler(scheduler) => return roles::scheduler(scheduler),
            Command::Worker(worker) => return roles::worker(worker),
            Command::Lint(lint) => lint::run(&lint),
            Command::Simulate(simulate) => simulate::run(&simulate),
            Command::Run(run) => on_runtime(run::run(run)),
            Command::Up(up) => on_runtime(run::up(up)),
            Command::Submit(submit) => on_runtime(submit::run(submit)),
            Command::Sql(sql) => on_runtime(sql::run(sql)),
            Command::Get(get) => on_runtime(get::run(get)),
            Command::Explain(explain) => on_runtime(explain::run(explain)),
        };
        match outcome {
            Ok(()) => Exit::Success.into(),
            Err(failure) => {
                if !failure.message.is_empty() {
                    eprintln!("dasklet: {}", failure.message);
                }
                failure.exit.into()
            }
        }
    }
}

/// The arguments, with the subcommand that the program's name stands for: `dasklet-scheduler` and
/// `dasklet-worker` are links to this program.
pub fn with_role(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<_> = arguments.collect();
    let name = all.first().and_then(|first| Path::new(first).file_name()?.to_str());
    if let Some(role) = name.and_then(Role::of_name) {
        all.insert(1, role.subcommand().into());
    }
    all
}

/// One thread does all: the children do the work, and the kernel ties their lives to the thread
/// that started them.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    logging::start(false);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::no_cluster(format!("cannot start: {error}")))?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_roles_stand_for_their_subcommands() {
        for (typed, meant) in [
            ("dasklet worker --threads 1", "dasklet worker --threads 1"),
            ("/bin/dasklet-worker --threads 1", "/bin/dasklet-worker worker --threads 1"),
            ("dasklet-scheduler", "dasklet-scheduler scheduler"),
            ("dasklet-other", "dasklet-other"),
        ] {
            let found = with_role(typed.split(' ').map(OsString::from));
            assert_eq!(found, meant.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }
}
