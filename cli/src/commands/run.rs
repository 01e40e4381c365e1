//! `dasklet run` and `dasklet up`: clusters on this machine.

use std::{net::TcpListener, path::PathBuf};

use clap::Args;
use dasklet_api::ignored_locally;
use serde_json::json;

use super::{Output, print};
use crate::{
    exit::{Exit, Failure},
    manifests::read_good,
    runner::{Reporting, Runner},
    scenario::{JobPlan, Scenario},
    substrate::{Cluster, Ports},
    workload::JobReport,
};

/// Where `submit`, `get` and `explain` look for a scheduler: for clients, and for HTTP.
const USUAL_PORTS: [u16; 2] = [8786, 8787];

/// Starts the clusters of manifests on this machine, runs their jobs, and stops everything.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet run -f examples/flights.yaml
  dasklet run -f cluster.yaml -f job.yaml --events events.jsonl
  dasklet run -f examples/tasks.yaml --output json

Results go to standard output, progress and the account to standard error. Several runs at once
do not disturb each other: ports are free ones unless they are given.")]
pub struct Run {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    reporting: Reporting,
    #[command(flatten)]
    listen: Listen,
}

/// Starts the clusters of manifests on this machine, runs their jobs, and stays until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet up -f cluster.yaml
  dasklet up -f cluster.yaml --host 0.0.0.0 --port 9786 --http-port 9787

Prints tcp://HOST:PORT on a line of its own, then the dashboard's address. These are ports 8786 and
8787, which the other commands use by default; where they are taken, or for several clusters, free
ones. An `idleTimeout` of the cluster ends it; a job's own cluster goes with the job, unless its
`shutdownPolicy` says otherwise.")]
pub struct Up {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    reporting: Reporting,
    #[command(flatten)]
    listen: Listen,
}

#[derive(Debug, Args)]
struct Files {
    /// Manifests: YAML files of one or more documents; - reads standard input
    #[arg(long = "file", short = 'f', required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Listen {
    /// Address that the scheduler listens on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// Port for clients and workers; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port for HTTP; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
}

impl Listen {
    /// # Errors
    /// A port is asked for, and several clusters would have to share it.
    fn check(&self, scenario: &Scenario) -> Result<(), Failure> {
        let clusters = &scenario.clusters;
        let asked = [("--port", self.port), ("--http-port", self.http_port)];
        let port =
            asked.into_iter().find_map(|(flag, port)| Some((flag, port.filter(|p| *p > 0)?)));
        let (Some((flag, port)), 2..) = (port, clusters.len()) else { return Ok(()) };
        let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        Err(Failure::bad_input(format!(
            "{flag} {port} is for one scheduler, and these manifests hold {} clusters ({}): leave \
             it out, so that each takes free ports, or start each cluster by itself",
            names.len(),
            names.join(", ")
        )))
    }

    /// The ports that are asked for, free ones for those that are not.
    fn ports(&self) -> Ports {
        Ports {
            host: self.host.clone(),
            port: self.port.unwrap_or(0),
            http_port: self.http_port.unwrap_or(0),
        }
    }

    /// The ports that other commands look at by themselves, if none is asked for and both are free.
    fn usual_ports(&self) -> Option<Ports> {
        let [port, http_port] = USUAL_PORTS;
        let free = |port| TcpListener::bind((self.host.as_str(), port)).is_ok();
        let wanted = self.port.is_none() && self.http_port.is_none();
        (wanted && free(port) && free(http_port)).then(|| Ports {
            host: self.host.clone(),
            port,
            http_port,
        })
    }
}

impl Files {
    fn scenario(&self, reporting: &Reporting) -> Result<Scenario, Failure> {
        let console = reporting.console();
        let manifests = read_good(&self.files, |warning| console.line(warning))?;
        for ignored in ignored_locally(&manifests) {
            console.line(&ignored.to_string());
        }
        Scenario::of(&manifests)
    }
}

/// Runs `dasklet run`.
pub async fn run(run: Run) -> Result<(), Failure> {
    let scenario = run.files.scenario(&run.reporting)?;
    if scenario.jobs.is_empty() {
        return Err(Failure::bad_input(
            "these manifests hold no job to run: add a DaskJob with a workload, or use `dasklet \
             up` for a cluster that stays",
        ));
    }
    run.listen.check(&scenario)?;
    let journal = run.reporting.journal()?;
    let mut runner = Runner::new(run.reporting, journal)?;
    runner.start(&scenario, &run.listen.ports()).await?;
    let outcome = run_on_its_clusters(&runner, &scenario).await;
    runner.finish(outcome).await
}

/// Runs `dasklet up`.
pub async fn up(up: Up) -> Result<(), Failure> {
    let scenario = up.files.scenario(&up.reporting)?;
    up.listen.check(&scenario)?;
    let journal = up.reporting.journal()?;
    let output = up.reporting.output;
    let mut runner = Runner::new(up.reporting, journal)?;
    start_where_found(&mut runner, &scenario, &up.listen).await?;
    let are_several = runner.clusters().len() > 1;
    for cluster in runner.clusters() {
        print(&addresses(cluster, are_several, output))?;
    }
    let outcome = match run_on_its_clusters(&runner, &scenario).await {
        Ok(reports) => runner.stay().await.map(|()| reports),
        Err(failure) => Err(failure),
    };
    runner.finish(outcome).await
}

/// A single cluster takes the ports where it is looked for, if it can have them.
async fn start_where_found(
    runner: &mut Runner,
    scenario: &Scenario,
    listen: &Listen,
) -> Result<(), Failure> {
    if let (1, Some(ports)) = (scenario.clusters.len(), listen.usual_ports()) {
        match runner.start(scenario, &ports).await {
            // Somebody else took them first. What else may be wrong shows itself again below.
            Err(failure) if failure.exit == Exit::NoCluster => {}
            outcome => return outcome,
        }
    }
    runner.start(scenario, &listen.ports()).await
}

/// Where a cluster is: an address on a line of its own, after its name if there are several; or a
/// JSON line.
fn addresses(cluster: &Cluster, are_several: bool, output: Output) -> String {
    let Cluster { name, address, dashboard, .. } = cluster;
    match output {
        Output::Table if are_several => {
            format!("cluster {name}\n{address}\ndashboard {dashboard}\n")
        }
        Output::Table => format!("{address}\ndashboard {dashboard}\n"),
        Output::Json => {
            let line = json!({"cluster": name, "scheduler": address, "dashboard": dashboard});
            format!("{line}\n")
        }
    }
}

async fn run_on_its_clusters(
    runner: &Runner,
    scenario: &Scenario,
) -> Result<Vec<JobReport>, Failure> {
    let address_of = |job: &JobPlan| {
        let cluster = runner.clusters().iter().find(|cluster| cluster.name == job.cluster);
        cluster.map(|cluster| cluster.address.clone())
    };
    runner.run_jobs(&scenario.jobs, address_of).await
}
