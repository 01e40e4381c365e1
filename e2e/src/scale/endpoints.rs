//! Schedulers that are not there: their HTTP API, for as many clusters as there are. Whoever runs
//! is a member; what is queued can be made to change each second.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::census::Running;

/// The endpoints. End with this value.
pub struct Endpoints {
    url: String,
    beat: watch::Sender<u64>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Shared {
    clusters: watch::Receiver<Clusters>,
    beat: watch::Receiver<u64>,
}

/// Members by cluster; each change of one makes its version larger.
type Clusters = BTreeMap<(String, String), Cluster>;

#[derive(Clone, Debug, Default, PartialEq)]
struct Cluster {
    version: u64,
    /// Identity, name, group.
    members: Vec<(String, String, String)>,
}

impl Endpoints {
    /// Serves on loopback.
    pub async fn start(running: watch::Receiver<Running>) -> Result<Self> {
        let (beat, beats) = watch::channel(0);
        let (sender, clusters) = watch::channel(Clusters::new());
        let router = Router::new()
            .route("/{namespace}/{cluster}/api/v1/demand", post(demand))
            .route("/{namespace}/{cluster}/api/v1/members", get(members))
            .with_state(Shared { clusters, beat: beats });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/{{namespace}}/{{cluster}}", listener.local_addr()?);
        let serve = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!("the endpoints have ended: {error}");
            }
        };
        let tasks = vec![tokio::spawn(serve), tokio::spawn(follow(running, sender))];
        Ok(Self { url, beat, tasks })
    }

    /// For the operator's `--scheduler-url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The demand of all clusters changes each second, for so long.
    pub async fn restless(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.beat.send_modify(|beat| *beat += 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Gathers members by their clusters, a few times a second.
async fn follow(mut running: watch::Receiver<Running>, sender: watch::Sender<Clusters>) {
    while running.changed().await.is_ok() {
        let mut members: BTreeMap<(String, String), Vec<(String, String, String)>> =
            BTreeMap::new();
        for ((namespace, name), runs) in running.borrow_and_update().iter() {
            if let Some((cluster, group)) = &runs.worker {
                let key = (namespace.clone(), cluster.clone());
                let member = (runs.uid.clone(), name.clone(), group.clone());
                members.entry(key).or_default().push(member);
            }
        }
        sender.send_modify(|clusters| {
            for (key, members) in members {
                let cluster = clusters.entry(key).or_default();
                if cluster.members != members {
                    *cluster = Cluster { version: cluster.version + 1, members };
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Shared {
    fn cluster(&self, key: &(String, String)) -> Cluster {
        self.clusters.borrow().get(key).cloned().unwrap_or_default()
    }

    fn demand(&self, key: &(String, String), request: &Value) -> Value {
        let (cluster, beat) = (self.cluster(key), *self.beat.borrow());
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, _, group) in &cluster.members {
            *sizes.entry(group).or_default() += 1;
        }
        let groups: Vec<Value> = sizes
            .into_iter()
            .map(|(group, count)| {
                json!({"group": group, "members": count, "needed": count, "draining": 0})
            })
            .collect();
        let shapes = request["shapes"].as_array().cloned().unwrap_or_default();
        let trials: Vec<Value> =
            shapes.iter().map(|shape| json!({"group": shape["group"], "useful": 0})).collect();
        // The members are busy, and the rest changes.
        let ready = beat % 7;
        json!({
            "version": 1 + cluster.version + beat, "epoch": 1,
            "classes": [{"resources": {"cpu": 1000}, "ready": ready,
                         "running": cluster.members.len(), "waiting": beat % 11,
                         "estimatedSeconds": 1.0 + ready as f64, "blocked": null}],
            "bytesWanted": 0, "bytesStored": 0, "memoryUsed": 0, "memoryLimit": 0,
            "trials": trials, "groups": groups, "idleSeconds": null, "clients": 1,
        })
    }
}

type Where = Path<(String, String)>;

async fn demand(
    State(mut shared): State<Shared>,
    Path(key): Where,
    Json(request): Json<Value>,
) -> Json<Value> {
    let wait = request["waitMillis"].as_u64().unwrap_or(0);
    let end = Instant::now() + Duration::from_millis(wait);
    let after = request["after"].as_u64();
    loop {
        let answer = shared.demand(&key, &request);
        if after.is_none() || answer["version"].as_u64() != after {
            return Json(answer);
        }
        let changed = async {
            tokio::select! {
                changed = shared.clusters.changed() => changed,
                changed = shared.beat.changed() => changed,
            }
        };
        if !matches!(timeout_at(end, changed).await, Ok(Ok(()))) {
            return Json(answer);
        }
    }
}

async fn members(State(shared): State<Shared>, Path(key): Where) -> Json<Value> {
    let cluster = shared.cluster(&key);
    let members = cluster.members.iter().enumerate().map(|(id, (uid, name, group))| {
        json!({
            "id": id, "name": name, "instance": uid, "group": group, "address": "10.245.0.1:1",
            "resources": {"cpu": 1000}, "state": "serving", "running": 1, "bytesStored": 0,
            "bytesSole": 0, "bytesSpilled": 0, "memoryUsed": 0, "memoryLimit": 0,
            "cpuSeconds": 0.0, "idleSeconds": 0.0, "silentSeconds": 0.0,
        })
    });
    Json(members.collect())
}
