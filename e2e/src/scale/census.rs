//! A running count of pods, from one watch.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// How many pods run in each namespace. Ends with this value.
pub struct Census {
    counts: watch::Receiver<BTreeMap<String, usize>>,
    task: JoinHandle<()>,
}

impl Census {
    /// Watches the pods of all namespaces.
    pub fn start(client: &Client) -> Self {
        let (sender, counts) = watch::channel(BTreeMap::new());
        let task = tokio::spawn(follow(Api::all(client.clone()), sender));
        Self { counts, task }
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
            |counts: &BTreeMap<String, usize>| counts.get(namespace).copied().unwrap_or_default();
        let wait = self.counts.wait_for(|counts| done(count(counts)));
        if let Ok(seen) = tokio::time::timeout(limit, wait).await {
            drop(seen?);
            return Ok(Instant::now());
        }
        let seen = count(&self.counts.borrow());
        bail!("{seen} pods run in {namespace} after {} s, not {wanted}", limit.as_secs())
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(pods: Api<Pod>, sender: watch::Sender<BTreeMap<String, usize>>) {
    let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
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
        let namespace = pod.namespace().unwrap_or_default();
        let names = running.entry(namespace.clone()).or_default();
        if runs {
            names.insert(pod.name_any());
        } else {
            names.remove(&pod.name_any());
        }
        let count = names.len();
        sender.send_modify(|counts| {
            counts.insert(namespace, count);
        });
    }
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}
