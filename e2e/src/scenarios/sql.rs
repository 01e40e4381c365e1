//! SQL over an object store in the cluster, while workers die.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};

use crate::{
    image::s3,
    runner::{World, until},
    scenarios::{
        dask::{self, LIMIT},
        killer,
        pods::ready,
    },
};

/// How often two flights went to the same place in the same month, and how far these two flew
/// together; by other means than ours.
const ANSWER: [&str; 2] = ["250011188", "531489137942"];

const QUERY: &str = "SELECT count(*) AS pairs, sum(a.distance + b.distance) AS miles \
                     FROM flights a JOIN flights b ON a.dest = b.dest AND a.month = b.month";

/// The same query undisturbed, and with every death that a worker can die.
pub async fn survives_deaths(world: Arc<World>) -> Result<()> {
    start_store(&world).await?;
    world.apply(&cluster()).await?;
    dask::serving(&world, "sql", 2).await?;
    let time = answer(&world, "undisturbed").await?;
    world.measure("undisturbed", time);

    for death in [Death::Killed, Death::Deleted, Death::OutOfMemory, Death::Evicted] {
        let (name, about) = death.words();
        submit(&world, name).await?;
        let victim = at_work(&world).await?;
        match death {
            Death::Killed => killer::kill(&world, &victim).await?,
            Death::Deleted => killer::delete_by_force(&world, &victim).await?,
            Death::OutOfMemory => killer::exhaust_memory(&world, &victim).await?,
            Death::Evicted => killer::evict(&world, &victim).await?,
        }
        let time = answer(&world, name).await?;
        world.measure(about, time);
        let pods = dask::worker_pods(&world, "sql").await?;
        let lives = |pod: &&Pod| pod.uid() == victim.uid() && runs(pod);
        ensure!(!pods.iter().any(|pod| lives(&pod)), "{name}: the worker lives");
        dask::serving(&world, "sql", 2).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Death {
    Killed,
    Deleted,
    OutOfMemory,
    Evicted,
}

impl Death {
    /// A pod's name, and what is measured.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Killed => ("killed", "a worker's process killed"),
            Self::Deleted => ("deleted", "a worker's pod deleted by force"),
            Self::OutOfMemory => ("out-of-memory", "a worker out of memory"),
            Self::Evicted => ("evicted", "a worker evicted"),
        }
    }
}

fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

async fn start_store(world: &World) -> Result<()> {
    let (name, port) = (s3::NAME, s3::PORT);
    world
        .apply(&format!(
            r"
apiVersion: v1
kind: Pod
metadata: {{name: s3, labels: {{app: s3}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: s3, image: '{name}', readinessProbe: {{tcpSocket: {{port: {port}}}, periodSeconds: 1}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: s3}}
spec: {{selector: {{app: s3}}, ports: [{{port: {port}}}]}}
"
        ))
        .await?;
    until("the object store is ready", LIMIT, || ready(world, "s3")).await?;
    Ok(())
}

/// What a process needs to know to read from the store.
fn environment() -> [(&'static str, String); 5] {
    let (access, secret) = s3::CREDENTIALS;
    [
        ("AWS_ENDPOINT", format!("http://s3:{}", s3::PORT)),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", access.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
    ]
}

fn cluster() -> String {
    let env: serde_json::Map<_, _> =
        environment().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::json!({
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": "sql"},
        "spec": {"worker": {"replicas": 2, "threads": 1, "memory": "512Mi", "env": env}},
    })
    .to_string()
}

async fn submit(world: &World, name: &str) -> Result<()> {
    let env: Vec<_> = environment()
        .into_iter()
        .map(|(name, value)| serde_json::json!({"name": name, "value": value}))
        .collect();
    let container = serde_json::json!({
        "name": "sql",
        "image": world.setting.engine_image,
        "command": ["dasklet", "sql", QUERY, "--null", "NA",
            "--format", "csv", "--table", "flights=s3://tables/flights/*.csv.gz",
            "--scheduler", "tcp://sql-scheduler:8786"],
        "env": env,
    });
    dask::run_once(world, name, container).await
}

/// Waits for the end of a query, which is submitted if it was not, and checks its answer.
async fn answer(world: &World, name: &str) -> Result<Duration> {
    let pods: Api<Pod> = world.api();
    if pods.get_opt(name).await?.is_none() {
        submit(world, name).await?;
    }
    let what = format!("the query {name} is done");
    let (log, time) = until(&what, LIMIT * 2, || dask::finished(world, name)).await?;
    for part in ANSWER {
        let plain = log.replace([',', '_'], "");
        ensure!(plain.contains(part), "{name}: no {part} in the answer: {log}");
    }
    Ok(time)
}

/// A worker that has a task at hand.
async fn at_work(world: &World) -> Result<Pod> {
    let look = || async {
        let members = dask::members(world, "sql").await?;
        let busy = |member: &&serde_json::Value| member["running"].as_u64() > Some(0);
        let member = members.iter().find(busy).context("no worker runs a task")?;
        let pods = dask::worker_pods(world, "sql").await?;
        let uid = member["instance"].as_str().map(str::to_owned);
        pods.into_iter().find(|pod| pod.uid() == uid).context("no pod is that member")
    };
    Ok(until("a worker is at work", LIMIT, look).await?.0)
}
