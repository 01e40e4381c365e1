//! SQL over an object store in the cluster, while workers die.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::DeleteParams};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    image::s3,
    runner::{World, until},
    scenarios::{
        dask::{self, LIMIT},
        pods::ready,
    },
};

/// How often two flights were flown by the same plane, and how far these two went together; by
/// other means than ours.
const ANSWER: [&str; 2] = ["56722784", "112440537724"];

const QUERY: &str = "SELECT count(*) AS pairs, sum(a.distance + b.distance) AS miles \
                     FROM flights a JOIN flights b ON a.tailnum = b.tailnum";

/// The same query undisturbed, with a worker's process killed, and with a pod deleted by force.
pub async fn survives_deaths(world: Arc<World>) -> Result<()> {
    start_store(&world).await?;
    world.apply(&cluster()).await?;
    dask::serving(&world, "sql", 2).await?;
    let time = answer(&world, "undisturbed").await?;
    world.measure("undisturbed", time);

    submit(&world, "killed").await?;
    let victim = at_work(&world).await?;
    for pid in world.processes_of(&victim, "dasklet")? {
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    }
    let time = answer(&world, "killed").await?;
    world.measure("a worker's process killed", time);
    dask::serving(&world, "sql", 2).await?;

    submit(&world, "deleted").await?;
    let victim = at_work(&world).await?;
    let pods: Api<Pod> = world.api();
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(&victim.name_any(), &now).await?;
    let time = answer(&world, "deleted").await?;
    world.measure("a worker's pod deleted", time);
    Ok(())
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
        "spec": {"worker": {"replicas": 2, "threads": 1, "memory": "1Gi", "env": env}},
    })
    .to_string()
}

async fn submit(world: &World, name: &str) -> Result<()> {
    let env: Vec<_> = environment()
        .into_iter()
        .map(|(name, value)| serde_json::json!({"name": name, "value": value}))
        .collect();
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": false,
            "containers": [{
                "name": "sql",
                "image": world.setting.engine_image,
                "command": ["dasklet", "sql", QUERY, "--null", "NA",
                    "--format", "csv", "--table", "flights=s3://tables/flights/",
                    "--scheduler", "tcp://sql-scheduler:8786"],
                "env": env,
            }],
        },
    });
    world.apply(&pod.to_string()).await.map(drop)
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
