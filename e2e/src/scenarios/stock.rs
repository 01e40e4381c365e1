//! Stock Dask under our operator: its own scheduler and workers, and its own Python client.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// A stock scheduler and workers that follow its queue, and a client that computes.
pub async fn adapts(world: Arc<World>) -> Result<()> {
    let autoscaler = "
---
apiVersion: kubernetes.dask.org/v1
kind: DaskAutoscaler
metadata: {name: stock}
spec: {cluster: stock, minimum: 1, maximum: 3}
";
    let cluster = manifest("stock", &world.setting.python_image, 1);
    world.apply(&format!("{cluster}{autoscaler}")).await?;
    run_python(
        &world,
        "client",
        r#"
import time
from dask.distributed import Client
client = Client("tcp://stock-scheduler:8786", timeout="60s")
def cube(x):
    time.sleep(0.1)
    return x ** 3
futures = client.map(cube, range(300))
print("sum", client.submit(sum, futures).result(timeout=120))
"#,
    )
    .await?;
    until("there are more workers", LIMIT, || async {
        let count = dask::worker_pods(&world, "stock").await?.len();
        ensure!(count > 1, "there is {count}");
        Ok(())
    })
    .await?;
    let (log, time) =
        until("the client is done", LIMIT * 3, || dask::finished(&world, "client")).await?;
    world.measure("300 tasks of a Python client", time);
    ensure!(log.contains("sum 2011522500"), "the sum is wrong: {log}");
    dask::worker_count(&world, "stock", 1).await?;
    Ok(())
}

/// A cluster of stock Dask, as manifests of dask-kubernetes have it.
pub fn manifest(name: &str, image: &str, workers: u32) -> String {
    format!(
        r#"
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata: {{name: {name}}}
spec:
  scheduler:
    spec:
      containers:
      - name: scheduler
        image: {image}
        args: [dask, scheduler]
        ports: [{{name: tcp-comm, containerPort: 8786}}, {{name: http-dashboard, containerPort: 8787}}]
        readinessProbe: {{httpGet: {{port: http-dashboard, path: /health}}, periodSeconds: 1}}
    service:
      type: ClusterIP
      selector: {{dask.org/cluster-name: {name}, dask.org/component: scheduler}}
      ports:
      - {{name: tcp-comm, protocol: TCP, port: 8786, targetPort: tcp-comm}}
      - {{name: http-dashboard, protocol: TCP, port: 8787, targetPort: http-dashboard}}
  worker:
    replicas: {workers}
    spec:
      containers:
      - name: worker
        image: {image}
        args: [dask, worker, --name, $(DASK_WORKER_NAME), --nthreads, "1"]
"#
    )
}

/// The unmodified `KubeCluster` class creates, scales, adapts, adds a group and closes.
pub async fn kube_cluster(world: Arc<World>) -> Result<()> {
    let namespace = &world.namespace;
    let account = format!("--serviceaccount={namespace}:default");
    world.kubectl(["create", "rolebinding", "python", "--clusterrole=admin", &account]).await?;
    let image = &world.setting.python_image;
    run_python(
        &world,
        "kube-cluster",
        &format!(
            r#"
import time
from dask.distributed import Client
from dask_kubernetes.operator import KubeCluster
cluster = KubeCluster(name="python", namespace="{namespace}", image="{image}", n_workers=1)
client = Client(cluster)
client.wait_for_workers(1, timeout=60)
print("created")
cluster.scale(3)
client.wait_for_workers(3, timeout=60)
print("scaled", client.submit(lambda x: x + 1, 41).result(timeout=30))
cluster.add_worker_group(name="more", n_workers=1)
client.wait_for_workers(4, timeout=60)
print("added")
cluster.delete_worker_group(name="more")
cluster.adapt(minimum=1, maximum=2)
deadline = time.time() + 90
while len(client.scheduler_info()["workers"]) > 2 and time.time() < deadline:
    time.sleep(0.5)
assert len(client.scheduler_info()["workers"]) <= 2, "not adapted"
print("adapted")
client.close()
cluster.close()
print("closed")
"#
        ),
    )
    .await?;
    let (log, _) =
        until("the script is done", LIMIT * 4, || dask::finished(&world, "kube-cluster")).await?;
    for word in ["created", "scaled 42", "added", "adapted", "closed"] {
        ensure!(log.contains(word), "it did not say {word}: {log}");
    }
    let left = world.pods("dask.org/cluster-name=python").await?.len();
    ensure!(left == 0, "{left} pods are left");
    Ok(())
}

/// Starts a pod that runs a script.
async fn run_python(world: &World, name: &str, script: &str) -> Result<()> {
    let container = serde_json::json!({
        "name": "python",
        "image": world.setting.python_image,
        "command": ["python3", "-u", "-c", script],
    });
    dask::run_once(world, name, container).await
}
