//! Kubelets, the deployment controller and schedulers, simulated. The schedulers keep a ledger: a
//! task that was acknowledged must be done once, and a held result must stay readable as long as
//! nobody ends its worker without a drain.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::server::Server;

/// All schedulers of the test, by cluster.
#[derive(Debug, Default)]
pub struct Schedulers {
    clusters: HashMap<String, Cluster>,
    /// Violations in words.
    pub violations: Vec<String>,
    /// Death notices.
    pub lost: Vec<(String, String)>,
    /// Clusters whose scheduler does not answer.
    pub silent: HashSet<String>,
}

#[derive(Debug, Default)]
struct Cluster {
    version: u64,
    members: BTreeMap<String, Worker>,
    ready: Vec<u64>,
    done: BTreeMap<u64, u32>,
    held: BTreeMap<u64, String>,
    next: u64,
}

#[derive(Debug)]
struct Worker {
    name: String,
    group: String,
    state: &'static str,
    running: Option<(u64, u32)>,
    drain_ticks: u32,
}

pub type Shared = Arc<Mutex<Schedulers>>;

impl Schedulers {
    /// Submits tasks, acknowledged at once.
    pub fn submit(&mut self, cluster: &str, count: u64) {
        let cluster = self.clusters.entry(cluster.to_owned()).or_default();
        for _ in 0..count {
            cluster.ready.push(cluster.next);
            cluster.next += 1;
        }
        cluster.version += 1;
    }

    /// Tasks that are not done.
    pub fn open(&self, cluster: &str) -> usize {
        self.clusters.get(cluster).map_or(0, |cluster| {
            cluster.ready.len() + cluster.members.values().filter(|w| w.running.is_some()).count()
        })
    }

    /// Tasks submitted, and done.
    pub fn account(&self, cluster: &str) -> (u64, usize) {
        self.clusters.get(cluster).map_or((0, 0), |cluster| (cluster.next, cluster.done.len()))
    }

    fn join(&mut self, cluster: &str, uid: &str, name: &str, group: &str) {
        let cluster = self.clusters.entry(cluster.to_owned()).or_default();
        if !cluster.members.contains_key(uid) {
            let worker = Worker {
                name: name.to_owned(),
                group: group.to_owned(),
                state: "serving",
                running: None,
                drain_ticks: 0,
            };
            cluster.members.insert(uid.to_owned(), worker);
            cluster.version += 1;
        }
    }

    /// A worker's process ends. `asked`: somebody deleted its pod.
    fn leave(&mut self, name: &str, uid: &str, asked: bool) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let Some(worker) = cluster.members.remove(uid) else { return };
        cluster.version += 1;
        if let Some((task, _)) = worker.running {
            cluster.ready.push(task);
        }
        let lost: Vec<u64> =
            cluster.held.iter().filter(|(_, at)| *at == uid).map(|(task, _)| *task).collect();
        for task in &lost {
            cluster.held.remove(task);
            cluster.done.remove(task);
            // Lineage: what was lost is computed again.
            cluster.ready.push(*task);
        }
        if asked && worker.state != "drained" && (worker.running.is_some() || !lost.is_empty()) {
            self.violations.push(format!(
                "{} was removed while {} with {} held results and task {:?}",
                worker.name,
                worker.state,
                lost.len(),
                worker.running
            ));
        }
    }

    /// One step of time for every worker.
    fn tick(&mut self) {
        for cluster in self.clusters.values_mut() {
            let mut changed = false;
            let serving: Vec<String> = cluster
                .members
                .iter()
                .filter(|(_, worker)| worker.state == "serving")
                .map(|(uid, _)| uid.clone())
                .collect();
            for (uid, worker) in &mut cluster.members {
                if let Some((task, left)) = &mut worker.running {
                    *left -= 1;
                    if *left == 0 {
                        *cluster.done.entry(*task).or_default() += 1;
                        cluster.held.insert(*task, uid.clone());
                        worker.running = None;
                        changed = true;
                    }
                }
                if worker.state == "draining" && worker.running.is_none() {
                    worker.drain_ticks += 1;
                    let mine: Vec<u64> = cluster
                        .held
                        .iter()
                        .filter(|(_, at)| *at == uid)
                        .map(|(task, _)| *task)
                        .collect();
                    if worker.drain_ticks > 2 && (mine.is_empty() || !serving.is_empty()) {
                        for (at, task) in mine.into_iter().enumerate() {
                            cluster.held.insert(task, serving[at % serving.len()].clone());
                        }
                        worker.state = "drained";
                        changed = true;
                    }
                } else if worker.state == "serving"
                    && worker.running.is_none()
                    && let Some(task) = cluster.ready.pop()
                {
                    worker.running = Some((task, 4));
                    changed = true;
                }
            }
            if changed {
                cluster.version += 1;
            }
        }
    }

    fn demand(&self, name: &str, request: &Value) -> Value {
        let empty = Cluster::default();
        let cluster = self.clusters.get(name).unwrap_or(&empty);
        let ready = cluster.ready.len();
        let running = cluster.members.values().filter(|w| w.running.is_some()).count();
        let mut groups: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
        let mut holder_left = !cluster.held.is_empty();
        for worker in cluster.members.values() {
            let entry = groups.entry(&worker.group).or_default();
            if worker.state == "serving" {
                entry.0 += 1;
                if worker.running.is_some() || ready > 0 || std::mem::take(&mut holder_left) {
                    entry.1 += 1;
                    holder_left = false;
                }
            } else {
                entry.2 += 1;
            }
        }
        let groups: Vec<Value> = groups
            .into_iter()
            .map(|(group, (members, needed, draining))| {
                json!({"group": group, "members": members, "needed": needed, "draining": draining})
            })
            .collect();
        let shapes = request["shapes"].as_array().cloned().unwrap_or_default();
        let trials: Vec<Value> = shapes
            .iter()
            .map(|shape| {
                let most = shape["most"].as_u64().unwrap_or(0);
                json!({"group": shape["group"], "useful": most.min((ready as u64).div_ceil(4))})
            })
            .collect();
        let classes = if ready + running > 0 {
            json!([{"resources": {"cpu": 1000}, "ready": ready, "running": running, "waiting": 0,
                    "estimatedSeconds": (ready + running) as f64 * 0.1, "blocked": null}])
        } else {
            json!([])
        };
        let idle = ready + running == 0 && cluster.held.is_empty();
        json!({
            "version": cluster.version + 1, "epoch": 1, "classes": classes,
            "bytesWanted": cluster.held.len(), "bytesStored": cluster.held.len(),
            "memoryUsed": 0, "memoryLimit": 0, "trials": trials, "groups": groups,
            "idleSeconds": if idle { json!(100.0) } else { Value::Null }, "clients": 1,
        })
    }

    fn members(&self, name: &str) -> Value {
        let Some(cluster) = self.clusters.get(name) else { return json!([]) };
        let members: Vec<Value> = cluster
            .members
            .iter()
            .map(|(uid, worker)| {
                let held = cluster.held.values().filter(|at| *at == uid).count();
                json!({
                    "id": 1, "name": worker.name, "instance": uid, "group": worker.group,
                    "address": "10.0.0.1:1", "resources": {"cpu": 1000}, "state": worker.state,
                    "running": u32::from(worker.running.is_some()), "bytesStored": held,
                    "bytesSole": held, "bytesSpilled": 0, "memoryUsed": 0, "memoryLimit": 0,
                    "cpuSeconds": 0.0, "idleSeconds": 0.0, "silentSeconds": 0.0,
                })
            })
            .collect();
        json!(members)
    }

    fn order(&mut self, name: &str, request: &Value, from: &str, to: &'static str) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        for member in request["members"].as_array().into_iter().flatten() {
            let uid = member["instance"].as_str().unwrap_or_default();
            if let Some(worker) = cluster.members.get_mut(uid)
                && (worker.state == from || to == "serving")
            {
                worker.state = to;
                worker.drain_ticks = 0;
                cluster.version += 1;
            }
        }
    }
}

type Where = Path<(String, String)>;

/// Serves all schedulers; gives the URL pattern for the operator.
pub async fn serve(shared: Shared) -> String {
    let router = Router::new()
        .route("/{namespace}/{cluster}/api/v1/demand", post(demand))
        .route("/{namespace}/{cluster}/api/v1/members", get(members))
        .route("/{namespace}/{cluster}/api/v1/drain", post(drain))
        .route("/{namespace}/{cluster}/api/v1/undrain", post(undrain))
        .route("/{namespace}/{cluster}/api/v1/lost", post(lost))
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://127.0.0.1:{port}/{{namespace}}/{{cluster}}")
}

async fn demand(State(shared): State<Shared>, at: Where, Json(body): Json<Value>) -> Json<Value> {
    let after = body["after"].as_u64();
    let wait = body["waitMillis"].as_u64().unwrap_or(0);
    for _ in 0..=wait / 10 {
        {
            let schedulers = shared.lock().unwrap();
            let silent = schedulers.silent.contains(&at.1);
            let answer = schedulers.demand(&at.1, &body);
            if !silent && (after.is_none() || answer["version"].as_u64() != after) {
                return Json(answer);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if shared.lock().unwrap().silent.contains(&at.1) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let answer = shared.lock().unwrap().demand(&at.1, &body);
    Json(answer)
}

async fn members(State(shared): State<Shared>, at: Where) -> Json<Value> {
    Json(shared.lock().unwrap().members(&at.1))
}

async fn drain(State(shared): State<Shared>, at: Where, Json(body): Json<Value>) -> Json<Value> {
    shared.lock().unwrap().order(&at.1, &body, "serving", "draining");
    Json(json!({"members": []}))
}

async fn undrain(State(shared): State<Shared>, at: Where, Json(body): Json<Value>) -> Json<Value> {
    shared.lock().unwrap().order(&at.1, &body, "draining", "serving");
    Json(json!({"members": []}))
}

async fn lost(State(shared): State<Shared>, _at: Where, Json(body): Json<Value>) -> Json<Value> {
    let name = body["member"]["name"].as_str().unwrap_or_default().to_owned();
    let cause = body["cause"]["cause"].as_str().unwrap_or_default().to_owned();
    shared.lock().unwrap().lost.push((name, cause));
    Json(json!({"members": []}))
}

/// Runs workers for ever, and, where nobody else does, pods and deployments.
pub async fn run_nodes(server: Server, shared: Shared) {
    loop {
        if !server.is_real() {
            step_nodes(&server);
        }
        step_workers(&server, &shared);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn step_nodes(server: &Server) {
    server.with(|store| {
        let deployments: Vec<Value> = store.list("deployments").cloned().collect();
        let pods: Vec<Value> = store.list("pods").cloned().collect();
        for deployment in &deployments {
            run_deployment(store, deployment, &pods);
        }
        for pod in &pods {
            run_pod(store, pod);
        }
    });
}

fn step_workers(server: &Server, shared: &Shared) {
    let pods: Vec<Value> = server.store().list("pods").cloned().collect();
    let mut schedulers = shared.lock().unwrap();
    for pod in pods.iter().filter(|pod| text(pod, COMPONENT) == "worker") {
        let (cluster, uid) = (text(pod, CLUSTER), text(pod, "/metadata/uid"));
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            schedulers.leave(cluster, uid, true);
            continue;
        }
        match text(pod, "/status/phase") {
            "Running" => {
                schedulers.join(cluster, uid, text(pod, "/metadata/name"), text(pod, GROUP));
            }
            "Failed" | "Succeeded" => schedulers.leave(cluster, uid, false),
            _ => {}
        }
    }
    schedulers.tick();
    // A pod that went in any other way ends its worker too.
    let alive: HashSet<String> =
        pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect();
    let gone: Vec<(String, String)> = schedulers
        .clusters
        .iter()
        .flat_map(|(name, cluster)| cluster.members.keys().map(|uid| (name.clone(), uid.clone())))
        .filter(|(_, uid)| !alive.contains(uid))
        .collect();
    for (cluster, uid) in gone {
        schedulers.leave(&cluster, &uid, !had_ended(server, &uid));
    }
}

/// Whether a pod that is gone had ended by itself before.
fn had_ended(server: &Server, uid: &str) -> bool {
    let store = server.store();
    let of = |change: &&crate::store::Change| change.object["metadata"]["uid"] == uid;
    let last = store.history.iter().rev().find(of);
    last.is_some_and(|last| matches!(text(&last.object, "/status/phase"), "Failed" | "Succeeded"))
}

const CLUSTER: &str = "/metadata/labels/dask.org~1cluster-name";
const GROUP: &str = "/metadata/labels/dask.org~1workergroup-name";
const COMPONENT: &str = "/metadata/labels/dask.org~1component";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn run_deployment(store: &mut crate::store::Store, deployment: &Value, pods: &[Value]) {
    let uid = &deployment["metadata"]["uid"];
    let name = text(deployment, "/metadata/name");
    let namespace = text(deployment, "/metadata/namespace");
    let template = &deployment["spec"]["template"];
    let print = dasklet_operator::template::fingerprint(template);
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let own: Vec<&Value> =
        pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == *uid).collect();
    let mut fresh = 0;
    for pod in &own {
        if text(pod, "/metadata/annotations/print") == print && wanted > 0 {
            fresh += 1;
        } else if pod["metadata"]["deletionTimestamp"].is_null() {
            let pod_name = text(pod, "/metadata/name");
            let _ = store.delete("pods", namespace, pod_name, None, false);
        }
    }
    if wanted > fresh && own.len() as u64 == fresh {
        let body = json!({
            "metadata": {
                "name": format!("{name}-{}", &print[..8]),
                "labels": template["metadata"]["labels"],
                "annotations": {"print": print},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name,
                                     "uid": uid, "controller": true}],
            },
            "spec": template["spec"],
        });
        let _ = store.create("pods", namespace, body, false);
    }
}

fn run_pod(store: &mut crate::store::Store, pod: &Value) {
    let namespace = text(pod, "/metadata/namespace").to_owned();
    let name = text(pod, "/metadata/name").to_owned();
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        let uid = text(pod, "/metadata/uid");
        let _ = store.delete("pods", &namespace, &name, Some(uid), true);
    } else if text(pod, "/status/phase") == "Pending" {
        let time = (store.clock)();
        store.change("pods", &namespace, &name, |pod| {
            pod["spec"]["nodeName"] = json!("node");
            pod["status"] = json!({
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}],
                "containerStatuses": [{"name": "c", "restartCount": 0, "state": {"running": {}}}],
            });
        });
    }
}
