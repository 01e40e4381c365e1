//! The pods that run, from one watch.

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{sync::watch, task::JoinHandle};

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Its identity.
    pub uid: String,
    /// Its cluster and group, if it is a worker.
    pub worker: Option<(String, String)>,
}

/// Pods that run, by namespace and name.
pub type Running = BTreeMap<(String, String), Runs>;

/// The pods that run in all namespaces. Ends with this value.
pub struct Census {
    running: watch::Receiver<Running>,
    task: JoinHandle<()>,
}

impl Census {
    /// Watches the pods of all namespaces.
    pub fn start(client: &Client) -> Self {
        let (sender, running) = watch::channel(Running::new());
        let task = tokio::spawn(follow(Api::all(client.clone()), sender));
        Self { running, task }
    }

    /// The pods, as they change.
    pub fn subscribe(&self) -> watch::Receiver<Running> {
        self.running.clone()
    }

    /// Waits until so many pods run in a namespace; returns when that was.
    pub async fn running(
        &mut self,
        namespace: &str,
        wanted: usize,
        limit: Duration,
    ) -> Result<Instant> {
        self.wait(namespace, limit, |count| count >= wanted, wanted).await
    }

    /// Waits until none is left in a namespace.
    pub async fn gone(&mut self, namespace: &str, limit: Duration) -> Result<Instant> {
        self.wait(namespace, limit, |count| count == 0, 0).await
    }

    async fn wait(
        &mut self,
        namespace: &str,
        limit: Duration,
        done: impl Fn(usize) -> bool,
        wanted: usize,
    ) -> Result<Instant> {
        let count =
            |running: &Running| running.keys().filter(|(within, _)| within == namespace).count();
        let wait = self.running.wait_for(|running| done(count(running)));
        if let Ok(seen) = tokio::time::timeout(limit, wait).await {
            drop(seen?);
            return Ok(Instant::now());
        }
        let seen = count(&self.running.borrow());
        bail!("{seen} pods run in {namespace} after {} s, not {wanted}", limit.as_secs())
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(pods: Api<Pod>, sender: watch::Sender<Running>) {
    let mut events = pin!(watcher(pods, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let (pod, runs) = match event {
            Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                let runs = pod.metadata.deletion_timestamp.is_none() && is_running(&pod);
                (pod, runs)
            }
            Ok(watcher::Event::Delete(pod)) => (pod, false),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => continue,
            Err(error) => {
                tracing::warn!("the watch of pods broke: {error}");
                continue;
            }
        };
        let place = (pod.namespace().unwrap_or_default(), pod.name_any());
        sender.send_if_modified(|running| {
            if runs == running.contains_key(&place) {
                return false;
            }
            if runs {
                running
                    .insert(place, Runs { uid: pod.uid().unwrap_or_default(), worker: of(&pod) });
            } else {
                running.remove(&place);
            }
            true
        });
    }
}

fn of(pod: &Pod) -> Option<(String, String)> {
    let labels = pod.labels();
    let group = labels.get("dask.org/workergroup-name")?;
    Some((labels.get("dask.org/cluster-name")?.clone(), group.clone()))
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}
