//! An operator between a simulated API server and simulated nodes and schedulers.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::Parser;
use dasklet_operator::{options::Options, run::run};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    server::Server,
    sim::{self, Schedulers, Shared},
    weather::Faults,
};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);
/// The same where real controllers and nodes take part.
const REAL_PATIENCE: Duration = Duration::from_secs(120);

/// The world of one test.
pub struct Harness {
    pub server: Server,
    pub schedulers: Shared,
    url: String,
    _nodes: Runtime,
}

/// One life of the operator.
pub struct Life {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    /// Becomes true when the faults kill it.
    pub kill: watch::Receiver<bool>,
}

impl Life {
    /// Ends it as SIGKILL does.
    pub fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Ends it as SIGTERM does.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        self.runtime.take().unwrap().shutdown_timeout(Duration::from_secs(10));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl Harness {
    /// All of it in memory.
    pub fn new() -> Self {
        Self::on(Server::new())
    }

    /// With a server that is there.
    pub fn on(server: Server) -> Self {
        let schedulers: Shared = Arc::new(Mutex::new(Schedulers::default()));
        let nodes = runtime();
        let url = nodes.block_on(sim::serve(Arc::clone(&schedulers)));
        nodes.spawn(sim::run_nodes(server.clone(), Arc::clone(&schedulers)));
        Self { server, schedulers, url, _nodes: nodes }
    }

    /// Starts an operator.
    pub fn operator(&self, faults: Faults) -> Life {
        let words = vec![
            "dasklet-operator".to_owned(),
            "--listen=127.0.0.1:0".to_owned(),
            "--no-leader-election".to_owned(),
            "--engine-image=engine:test".to_owned(),
            "--status-pause=50".to_owned(),
            format!("--scheduler-url={}", self.url),
            format!("--namespace={}", self.server.namespace()),
        ];
        let options = Options::parse_from(words);
        let runtime = runtime();
        let (stop, stopped) = watch::channel(false);
        let server = self.server.clone();
        let (client, kill) = runtime.block_on(async move { server.client(faults) });
        runtime.spawn(async move {
            if let Err(error) = run(options, client, stopped).await {
                eprintln!("the operator ended: {error}");
            }
        });
        Life { runtime: Some(runtime), stop, kill }
    }

    pub fn create(&self, plural: &str, object: Value) {
        self.server.create(plural, object);
    }

    pub fn patch(&self, plural: &str, name: &str, patch: Value) {
        self.server.patch(plural, name, &patch);
    }

    pub fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.server.store().get(plural, self.server.namespace(), name).cloned()
    }

    fn patience(&self) -> Duration {
        if self.server.is_real() { REAL_PATIENCE } else { PATIENCE }
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > self.patience() {
                let store = self.server.store();
                for ((plural, _, name), object) in &store.objects {
                    if plural != "events" {
                        eprintln!(
                            "{plural} {name}: {} {}",
                            object["spec"]["replicas"], object["status"]
                        );
                    }
                }
                panic!(
                    "waited in vain until {what}; last writes: {:#?}",
                    store.log.iter().rev().take(30).collect::<Vec<_>>()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing has been written for a while.
    pub fn until_quiet(&self) {
        let begun = Instant::now();
        let mut last = (self.server.store().version(), Instant::now());
        while last.1.elapsed() < Duration::from_millis(1500) {
            assert!(begun.elapsed() < self.patience(), "the operator does not come to rest");
            let version = self.server.store().version();
            if version != last.0 {
                last = (version, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Pods of a group that nobody deletes.
    pub fn workers(&self, group: &str) -> Vec<Value> {
        let of = |pod: &&Value| {
            pod["metadata"]["labels"]["dask.org/workergroup-name"] == group
                && pod["metadata"]["deletionTimestamp"].is_null()
        };
        self.server.store().list("pods").filter(of).cloned().collect()
    }

    /// Reasons and notes of all warnings.
    pub fn warnings(&self) -> Vec<String> {
        let store = self.server.store();
        let warnings = store.list("events").filter(|event| event["type"] == "Warning");
        warnings.map(|event| format!("{}: {}", event["reason"], event["note"])).collect()
    }

    pub fn group_status(&self, group: &str) -> Value {
        self.get("daskworkergroups", group).map_or(Value::Null, |group| group["status"].clone())
    }

    pub fn condition(&self, plural: &str, name: &str, kind: &str) -> Value {
        let object = self.get(plural, name).unwrap_or_default();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
    }

    /// All worker pods at their most, over the whole history: (group, most at once).
    pub fn most_workers(&self, group: &str) -> usize {
        let store = self.server.store();
        let mut alive = std::collections::HashSet::new();
        let mut most = 0;
        for change in &store.history {
            let object = &change.object;
            if change.plural != "pods"
                || object["metadata"]["labels"]["dask.org/workergroup-name"] != group
            {
                continue;
            }
            let draining = !object["metadata"]["annotations"]["dask.org/drain"].is_null();
            let ends = !object["metadata"]["deletionTimestamp"].is_null()
                || matches!(object["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            if change.kind == "DELETED" || ends || draining {
                alive.remove(&uid);
            } else {
                alive.insert(uid);
            }
            most = most.max(alive.len());
        }
        most
    }
}

/// A cluster's manifest.
pub fn cluster(name: &str, worker: Value) -> Value {
    json!({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster",
        "metadata": {"name": name}, "spec": {"worker": worker},
    })
}
