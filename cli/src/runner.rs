//! Runs a scenario: starts its clusters, runs its jobs, shows what happens, stops everything.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use dasklet_api::ShutdownPolicy;
use futures::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;

use crate::{
    account::Account,
    commands::{Output, print, print_json},
    console::Console,
    events::Journal,
    exit::{Exit, Failure},
    interrupt::Interrupt,
    scenario::{JobPlan, Scenario},
    substrate::{Cluster, ClusterEnd, Home, Ports},
    workload::{JobReport, run_job},
};

/// How long a scheduler elsewhere is waited for when a run is broken off.
const GOODBYE: Duration = Duration::from_secs(3);

/// How a run is reported.
#[derive(Debug, Clone, Args)]
pub struct Reporting {
    /// Form of the results and the account
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
    /// Show results only: no progress, no account
    #[arg(long, short)]
    pub quiet: bool,
    /// Write what happens into this file, one JSON line an event: decisions with their reasons,
    /// starts and ends of workers with their causes, jobs
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

impl Reporting {
    /// Where events go.
    ///
    /// # Errors
    /// The file of events cannot be made.
    pub fn journal(&self) -> Result<Journal, Failure> {
        Journal::new(self.events.as_deref(), self.console())
    }

    /// Where people read along.
    pub fn console(&self) -> Console {
        if self.quiet || self.output == Output::Json { Console::silent() } else { Console::new() }
    }
}

/// The clusters of a run, while they run.
pub struct Runner {
    reporting: Reporting,
    journal: Journal,
    interrupt: Interrupt,
    clusters: Vec<Cluster>,
    /// It has started clusters, and so has an account to give of them.
    has_account: bool,
}

/// What a run gives to machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    jobs: &'a [JobReport],
    #[serde(flatten)]
    account: Account,
}

impl Runner {
    /// A run without clusters yet.
    ///
    /// # Errors
    /// The file of events cannot be made, or signals cannot be listened for.
    pub fn new(reporting: Reporting, journal: Journal) -> Result<Self, Failure> {
        let interrupt = Interrupt::listen()
            .map_err(|error| Failure::no_cluster(format!("cannot listen for signals: {error}")))?;
        Ok(Self { reporting, journal, interrupt, clusters: Vec::new(), has_account: false })
    }

    /// Starts the scenario's clusters; those already started are stopped if one cannot.
    ///
    /// # Errors
    /// A cluster cannot be started, or somebody asked to stop.
    pub async fn start(&mut self, scenario: &Scenario, ports: &Ports) -> Result<(), Failure> {
        let home = Home::create().map(Arc::new).map_err(|error| {
            Failure::no_cluster(format!(
                "cannot make a folder in {}: {error}: set TMPDIR to a folder that can be written",
                std::env::temp_dir().display()
            ))
        })?;
        for plan in &scenario.clusters {
            let starting = Cluster::start(plan, ports, home.clone(), self.journal.clone());
            let started = tokio::select! {
                started = starting => started,
                () = self.interrupt.asked() => Err(Failure::interrupted()),
            };
            match started {
                Ok(cluster) => {
                    self.clusters.push(cluster);
                    self.has_account = true;
                }
                Err(failure) => {
                    self.stop().await;
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// The running clusters.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Runs jobs, all at once; `address_of` says where. Shows each result when it is there.
    ///
    /// # Errors
    /// A cluster ended under them, or somebody asked to stop.
    pub async fn run_jobs(
        &self,
        jobs: &[JobPlan],
        address_of: impl Fn(&JobPlan) -> Option<String>,
    ) -> Result<Vec<JobReport>, Failure> {
        let mut running = FuturesUnordered::new();
        for job in jobs {
            let address = address_of(job).ok_or_else(|| {
                Failure::bad_input(format!("job {} names no cluster of this run", job.name))
            })?;
            running.push(run_job(job, address, self.journal.clone(), self.interrupt.clone()));
        }
        let mut reports = Vec::new();
        loop {
            tokio::select! {
                biased;
                next = running.next() => match next {
                    Some(report) => {
                        let report = report?;
                        self.show(&report)?;
                        self.end_cluster_of(&report, jobs);
                        reports.push(report);
                    }
                    None => return Ok(reports),
                },
                () = self.interrupt.asked() => {
                    // Own clusters end with all that they run; others have to be told.
                    if self.clusters.is_empty() {
                        let goodbyes = async { while running.next().await.is_some() {} };
                        let _ = tokio::time::timeout(GOODBYE, goodbyes).await;
                    }
                    return Err(Failure::interrupted());
                }
                end = self.any_cluster_ended() => return Err(end),
            }
        }
    }

    /// Waits until somebody asks to stop, or a cluster ends by itself.
    ///
    /// # Errors
    /// Always, but where an idle cluster has ended as its manifest says.
    pub async fn stay(&self) -> Result<(), Failure> {
        tokio::select! {
            () = self.interrupt.asked() => Err(Failure::interrupted()),
            end = self.any_cluster_ended() => {
                if end.exit == Exit::Success {
                    self.journal.console().line(&end.message);
                    Ok(())
                } else {
                    Err(end)
                }
            }
        }
    }

    /// Stops all clusters, and waits until their processes are gone.
    pub async fn stop(&mut self) {
        futures::future::join_all(self.clusters.drain(..).map(Cluster::stop)).await;
    }

    /// Stops all, and shows the account.
    ///
    /// # Errors
    /// What ended the jobs, or that some of them failed.
    pub async fn finish(mut self, outcome: Result<Vec<JobReport>, Failure>) -> Result<(), Failure> {
        self.stop().await;
        let account = if self.has_account { self.journal.account() } else { Account::default() };
        let reports = outcome.as_deref().unwrap_or_default();
        match self.reporting.output {
            Output::Json => print(&print_json(&Document { jobs: reports, account })?)?,
            Output::Table if self.has_account => {
                self.journal.console().line(account.to_string().trim_end());
            }
            Output::Table => {}
        }
        let reports = outcome?;
        let failed: Vec<String> = reports.iter().filter_map(JobReport::complaint).collect();
        if failed.is_empty() { Ok(()) } else { Err(Failure::failed(failed.join("\n"))) }
    }

    fn show(&self, report: &JobReport) -> Result<(), Failure> {
        match self.reporting.output {
            Output::Json => Ok(()),
            Output::Table => print(&report.text()),
        }
    }

    /// A job's own cluster goes with the job, where its policy says so.
    fn end_cluster_of(&self, report: &JobReport, jobs: &[JobPlan]) {
        let own = jobs.iter().find(|job| job.name == report.job && job.cluster == report.cluster);
        let goes = match own.and_then(|job| job.own_cluster) {
            Some(ShutdownPolicy::OnFinish) => true,
            Some(ShutdownPolicy::OnSuccess) => report.succeeded,
            Some(ShutdownPolicy::Never) | None => false,
        };
        if let (true, Some(cluster)) =
            (goes, self.clusters.iter().find(|c| c.name == report.cluster))
        {
            cluster.let_go();
        }
    }

    /// Waits until a cluster ends by itself, or all have ended with their jobs.
    async fn any_cluster_ended(&self) -> Failure {
        let mut endings: FuturesUnordered<_> = self
            .clusters
            .iter()
            .map(|cluster| async move { (cluster.name.clone(), cluster.ended().await) })
            .collect();
        let success = |message| Failure { exit: Exit::Success, message };
        while let Some((name, end)) = endings.next().await {
            match end {
                ClusterEnd::Stopped => {}
                ClusterEnd::Idle => {
                    return success(format!(
                        "cluster {name} was idle for its idleTimeout and is stopped"
                    ));
                }
                ClusterEnd::SchedulerDied(reason) => {
                    return Failure::no_cluster(format!(
                        "the scheduler of cluster {name} died: {reason}: its tasks are lost, run again"
                    ));
                }
            }
        }
        if self.clusters.is_empty() {
            return std::future::pending().await;
        }
        success("the jobs have ended, and their clusters with them".to_owned())
    }
}
