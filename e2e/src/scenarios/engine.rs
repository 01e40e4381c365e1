//! Scheduler and workers as pods, without an operator.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::{
    runner::World,
    scenarios::{dask, killer},
};

/// Two workers run an array of tasks; one is killed by SIGKILL and one deleted by force while
/// they do, others come in their place, and the sum is right.
pub async fn survives_a_kill(world: Arc<World>) -> Result<()> {
    let image = &world.setting.engine_image;
    world
        .apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{name: plain-scheduler, labels: {{app: scheduler}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: scheduler
    image: {image}
    command: [dasklet-scheduler]
    readinessProbe: {{httpGet: {{path: /ready, port: 8787}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: plain-scheduler}}
spec:
  selector: {{app: scheduler}}
  ports: [{{name: tcp-comm, port: 8786}}, {{name: http-dashboard, port: 8787}}]
"#
        ))
        .await?;
    for name in ["worker-0", "worker-1"] {
        start_worker(&world, name).await?;
    }
    let time = dask::serving(&world, "plain", 2).await?;
    world.measure("scheduler and two workers", time);

    dask::submit(&world, "plain", 1000, 0.01).await?;
    dask::progress(&world, "plain", 50).await?;
    let pods: Api<Pod> = world.api();
    killer::kill(&world, &pods.get("worker-0").await?).await?;
    start_worker(&world, "worker-2").await?;
    dask::progress(&world, "plain", 200).await?;
    killer::delete_by_force(&world, &pods.get("worker-1").await?).await?;
    start_worker(&world, "worker-3").await?;

    let time = dask::right_answer(&world, "plain", 1000).await?;
    world.measure("job with two deaths", time);
    Ok(())
}

async fn start_worker(world: &World, name: &str) -> Result<()> {
    let pods: Api<Pod> = world.api();
    let uid = json!({"fieldRef": {"fieldPath": "metadata.uid"}});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": "worker"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "worker",
                "image": world.setting.engine_image,
                "command": ["dasklet-worker", "--threads", "1"],
                "env": [
                    {"name": "DASK_SCHEDULER_ADDRESS", "value": "tcp://plain-scheduler:8786"},
                    {"name": "DASK_WORKER_NAME", "value": name},
                    {"name": "DASKLET_POD_UID", "valueFrom": uid},
                ],
            }],
        },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    Ok(())
}
