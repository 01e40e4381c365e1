//! What scenarios ask of our resources and of a cluster's scheduler.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;

use crate::runner::{World, until};

/// How long a scenario waits for something that takes seconds at most on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Starts a pod that runs one container to its end.
pub async fn run_once(world: &World, name: &str, container: Value) -> Result<()> {
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": false,
            "containers": [container],
        },
    });
    world.apply(&pod.to_string()).await.map(drop)
}

/// A resource of ours as the API server has it.
pub async fn object(world: &World, kind: &str, name: &str) -> Result<Value> {
    let kind = GroupVersionKind::gvk("kubernetes.dask.org", "v1", kind);
    let plural = format!("{}s", kind.kind.to_lowercase());
    let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    Ok(serde_json::to_value(api.get(name).await?)?)
}

/// Waits for a condition of a resource, and returns its reason and message.
pub async fn condition(
    world: &World,
    kind: &str,
    name: &str,
    condition: (&str, &str),
) -> Result<(String, String)> {
    let (wanted, status) = condition;
    let what = format!("{kind} {name} has {wanted}={status}");
    let look = || async {
        let object = object(world, kind, name).await?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|each| each["type"] == wanted);
        let found = found.with_context(|| format!("it has {conditions:?}"))?;
        ensure!(found["status"] == status, "it is {found}");
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok((text("reason"), text("message")))
    };
    Ok(until(&what, LIMIT, look).await?.0)
}

/// The members that a cluster's scheduler has, which serve.
pub async fn members(world: &World, cluster: &str) -> Result<Vec<Value>> {
    let service = format!("{cluster}-scheduler");
    let found = world.get_service(&service, "http-dashboard", "/api/v1/members").await?;
    let all = found.as_array().cloned().context("members are no list")?;
    Ok(all.into_iter().filter(|member| member["state"] == "serving").collect())
}

/// Waits until exactly so many members serve.
pub async fn serving(world: &World, cluster: &str, wanted: usize) -> Result<Duration> {
    let what = format!("{wanted} workers of {cluster} serve");
    let look = || async {
        let count = members(world, cluster).await?.len();
        ensure!(count == wanted, "{count} do");
        Ok(())
    };
    Ok(until(&what, LIMIT, look).await?.1)
}

/// The worker pods of a cluster that are not going.
pub async fn worker_pods(world: &World, cluster: &str) -> Result<Vec<Pod>> {
    world.pods(&format!("dask.org/cluster-name={cluster},dask.org/component=worker")).await
}

/// Waits until a cluster has exactly so many worker pods.
pub async fn worker_count(world: &World, cluster: &str, wanted: usize) -> Result<Duration> {
    let what = format!("{cluster} has {wanted} worker pods");
    let look = || async {
        let count = worker_pods(world, cluster).await?.len();
        ensure!(count == wanted, "it has {count}");
        Ok(())
    };
    Ok(until(&what, LIMIT, look).await?.1)
}

/// Starts a pod that submits a workload to a cluster: `count` tasks that sleep for so many
/// seconds, and the sum of as many cubes.
pub async fn submit(world: &World, cluster: &str, count: u64, seconds: f64) -> Result<()> {
    let image = &world.setting.engine_image;
    world
        .apply(&format!(
            r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: {cluster}-job}}
data:
  job.yaml: |
    apiVersion: kubernetes.dask.org/v1
    kind: DaskJob
    metadata: {{name: cubes}}
    spec:
      clusterName: any
      workload:
        tasks:
        - {{name: pauses, op: sleep, args: [{seconds}], array: "0..{count}"}}
        - {{name: cubes, op: cube, args: [{{index: true}}], array: "0..{count}", after: [pauses]}}
        - {{name: total, op: sum, args: [{{from: cubes}}], result: true}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {cluster}-submit}}
spec:
  restartPolicy: Never
  enableServiceLinks: false
  volumes: [{{name: job, configMap: {{name: {cluster}-job}}}}]
  containers:
  - name: submit
    image: {image}
    command: [dasklet, submit, -f, /job/job.yaml, --scheduler, "tcp://{cluster}-scheduler:8786"]
    volumeMounts: [{{name: job, mountPath: /job}}]
"#
        ))
        .await?;
    Ok(())
}

/// Waits until so many tasks of the newest job are done.
pub async fn progress(world: &World, cluster: &str, wanted: u64) -> Result<()> {
    let service = format!("{cluster}-scheduler");
    let look = || async {
        let found = world.get_service(&service, "http-dashboard", "/api/v1/jobs").await?;
        let newest = found["jobs"].as_array().and_then(|jobs| jobs.last()).cloned();
        let done = newest.map_or(0, |job| job["progress"]["done"].as_u64().unwrap_or_default());
        ensure!(done >= wanted, "{done} are");
        Ok(())
    };
    until(&format!("{wanted} tasks are done"), LIMIT, look).await?;
    Ok(())
}

/// Waits for the end of what [`submit`] started, and checks the sum that it printed.
pub async fn right_answer(world: &World, cluster: &str, count: u64) -> Result<Duration> {
    let name = format!("{cluster}-submit");
    let (log, time) = until("the workload is done", LIMIT * 2, || finished(world, &name)).await?;
    // The sum of the cubes of 1 to n is the square of the sum of 1 to n.
    let sum = (count * (count - 1) / 2).pow(2).to_string();
    ensure!(log.contains(&sum), "the sum is not {sum}: {log}");
    Ok(time)
}

/// The log of a pod that ended well; an error that tells its state otherwise.
pub async fn finished(world: &World, name: &str) -> Result<String> {
    let pods: Api<Pod> = world.api();
    let phase = pods.get(name).await?.status.context("no status")?.phase.unwrap_or_default();
    match phase.as_str() {
        "Succeeded" => world.kubectl(["logs", name]).await,
        "Failed" => bail!("{name} failed: {}", world.kubectl(["logs", name]).await?),
        _ => bail!("{name} is {phase}"),
    }
}
