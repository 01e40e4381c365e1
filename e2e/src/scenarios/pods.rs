//! What the cluster itself must be able to do before anything of ours is judged on it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use crate::runner::{World, until};

/// A pod with a service, and one that takes more memory than it may.
pub async fn basics(world: Arc<World>) -> Result<()> {
    let image = &world.setting.engine_image;
    world
        .apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: {image}
    command: [sh, -c, "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && echo started && exec httpd -f -p 8080 -h /tmp/www"]
    readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: site}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: greedy}}
spec:
  restartPolicy: Never
  containers:
  - name: greedy
    image: {image}
    command: [sh, -c, "head -c 200000000 /dev/zero | tail"]
    resources: {{limits: {{memory: 32Mi}}}}
"#
        ))
        .await?;
    let limit = Duration::from_secs(30);
    let (_, time) = until("the pod is ready", limit, || ready(&world, "web")).await?;
    world.measure("pod ready", time);
    ensure!(world.kubectl(["logs", "web"]).await?.contains("started"), "its log is not there");
    let inside = ["exec", "web", "--", "wget", "-qO-", "http://site/"];
    let (answer, _) =
        until("the service answers by its name", limit, || world.kubectl(inside)).await?;
    ensure!(answer.trim() == "hello", "the service answered {answer:?}");

    let pods: Api<Pod> = world.api();
    until("the greedy pod is OOMKilled", limit, || async {
        let pod = pods.get("greedy").await?;
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let state = statuses.into_iter().next().and_then(|status| status.state);
        let reason = state.and_then(|state| state.terminated).and_then(|ended| ended.reason);
        if reason.as_deref() != Some("OOMKilled") {
            bail!("the reason is {reason:?}");
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// An error that tells the pod's phase, unless it is ready.
pub async fn ready(world: &World, name: &str) -> Result<()> {
    let pods: Api<Pod> = world.api();
    let status = pods.get(name).await?.status.context("no status")?;
    let conditions = status.conditions.unwrap_or_default();
    let is_ready = |kind: &str, value: &str| kind == "Ready" && value == "True";
    ensure!(
        conditions.iter().any(|condition| is_ready(&condition.type_, &condition.status)),
        "{name} is {:?}",
        status.phase
    );
    Ok(())
}
