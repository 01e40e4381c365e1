//! A cluster on this machine, from its start to its stop.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    control::Control, group::Group, home::Home, poll, scheduler, supervised::SupervisedScheduler,
};
use crate::{
    events::{Event, Journal},
    exit::Failure,
    http::Http,
    scenario::ClusterPlan,
};

/// Where the scheduler listens; port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Address.
    pub host: String,
    /// For clients and workers.
    pub port: u16,
    /// For HTTP.
    pub http_port: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 0, http_port: 0 }
    }
}

/// Why a cluster ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterEnd {
    /// It had nothing to do for as long as its manifest allows.
    Idle,
    /// It was told to, as when the job that it was made for has ended.
    Stopped,
    /// Its scheduler died too often, or could not be started again.
    SchedulerDied(String),
}

/// A running cluster. [`Cluster::stop`] ends it; dropping it kills its processes.
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// For clients: `tcp://host:port`.
    pub address: String,
    /// For people: `http://host:port/status`.
    pub dashboard: String,
    stop: watch::Sender<bool>,
    end: watch::Receiver<Option<ClusterEnd>>,
    control: JoinHandle<()>,
}

impl Cluster {
    /// Starts the scheduler, and the loop that starts the workers.
    ///
    /// # Errors
    /// The scheduler cannot be started.
    pub async fn start(
        plan: &ClusterPlan,
        ports: &Ports,
        home: Arc<Home>,
        journal: Journal,
    ) -> Result<Self, Failure> {
        let (ended, endings) = mpsc::unbounded_channel();
        let process_name = format!("{}-scheduler", plan.name);
        let (process, addresses) =
            scheduler::start(&process_name, ports, &home, ended.clone()).await?;
        let token = std::env::var("DASKLET_TOKEN").ok();
        let http = Http::new(&addresses.http, token);
        let dashboard = format!("{}/status", addresses.http);
        journal.record(Event::ClusterStarted {
            cluster: plan.name.clone(),
            scheduler: addresses.scheduler.clone(),
            dashboard: dashboard.clone(),
        });
        let groups = plan
            .groups
            .iter()
            .map(|(policy, settings)| Group::new(policy.clone(), settings.clone()));
        let (questions, asked) = watch::channel(poll::Question::default());
        let (sights_in, sights) = watch::channel(poll::Sight::default());
        let (stop, stopped) = watch::channel(false);
        let (end_in, end) = watch::channel(None);
        let supervised = SupervisedScheduler::new(
            process_name,
            process,
            &ports.host,
            &addresses,
            home.clone(),
            ended.clone(),
        );
        let control = Control::new(
            plan.name.clone(),
            addresses.scheduler.clone(),
            groups.collect(),
            http.clone(),
            journal,
            home,
            (ended, endings),
        )
        .with_idle(plan.idle_timeout, plan.idle_action)
        .with_scheduler(supervised);
        tokio::spawn(poll::poll(http, asked, sights_in));
        let control = tokio::spawn(control.run(questions, sights, stopped, end_in));
        Ok(Self {
            name: plan.name.clone(),
            address: addresses.scheduler,
            dashboard,
            stop,
            end,
            control,
        })
    }

    /// Waits until the cluster ends by itself.
    pub async fn ended(&self) -> ClusterEnd {
        let mut end = self.end.clone();
        let found = end.wait_for(Option::is_some).await.map(|end| end.clone());
        match found {
            Ok(Some(end)) => end,
            _ => ClusterEnd::SchedulerDied("its control loop is gone".to_owned()),
        }
    }

    /// Lets it end, without waiting for that.
    pub fn let_go(&self) {
        self.stop.send_replace(true);
    }

    /// Ends all its processes and waits until they are gone.
    pub async fn stop(self) {
        self.let_go();
        // The loop ends by itself; a panic in it has been shown already.
        let _ = self.control.await;
    }
}
