//! Clusters that dask-kubernetes made, with its own operator.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    runner::{World, until},
    scenarios::{
        dask::{self, LIMIT},
        installed, pods, readme, stock,
    },
};

/// The operator of dask-kubernetes makes a cluster of three workers. Then it is stopped and ours
/// installed, as the README tells: no pod restarts, and the cluster is ours.
pub async fn keeps_every_pod(world: Arc<World>) -> Result<()> {
    installed::without_operator(&world, moved(&world)).await
}

async fn moved(world: &World) -> Result<()> {
    let old = World::new(world.setting.clone(), world.client.clone(), OLD_NAMESPACE.to_owned());
    start_old_operator(world, &old).await?;
    let outcome = story(world, &old).await;
    if outcome.is_err() {
        let log = old.kubectl(["logs", "deployment/dask-kubernetes-operator", "--tail=60"]).await;
        eprintln!("the operator of dask-kubernetes says: {}", log.unwrap_or_default());
    }
    old.kubectl(["delete", "clusterrolebinding", "dask-kubernetes", "--ignore-not-found"]).await?;
    old.kubectl(["delete", "namespace", OLD_NAMESPACE, "--wait=false"]).await?;
    outcome
}

async fn story(world: &World, old: &World) -> Result<()> {
    world.apply(&stock::manifest("inherited", &world.setting.python_image, 3)).await?;
    let (before, _) = until("scheduler and workers run", LIMIT, || running(world, 4)).await?;
    let object = dask::object(world, "DaskCluster", "inherited").await?;
    let finalizers = object["metadata"]["finalizers"].to_string();
    ensure!(finalizers.contains("kopf"), "no finalizer of kopf: {finalizers}");

    // The README has the old one stopped and ours installed.
    readme::run_section(world, readme::MOVING).await?;
    let left = old.pods("app.kubernetes.io/name=dask-kubernetes-operator").await?.len();
    ensure!(left == 0, "{left} pods of the old operator are there");
    dask::condition(world, "DaskCluster", "inherited", ("Ready", "True")).await?;
    let object = dask::object(world, "DaskCluster", "inherited").await?;
    ensure!(object["metadata"]["finalizers"].is_null(), "it has {}", object["metadata"]);
    let after = running(world, 4).await?;
    ensure!(after == before, "pods were restarted: {before:?} became {after:?}");

    // It is ours: it grows by pods of ours and shrinks by deployments of theirs.
    world.kubectl(["scale", "daskworkergroup/inherited-default", "--replicas=4"]).await?;
    until("a fourth worker runs", LIMIT, || running(world, 5)).await?;
    world.kubectl(["scale", "daskworkergroup/inherited-default", "--replicas=1"]).await?;
    until("one worker is left", LIMIT * 2, || running(world, 2)).await?;
    world.kubectl(["delete", "daskcluster", "inherited", "--wait=true", "--timeout=60s"]).await?;
    Ok(())
}

const OLD_NAMESPACE: &str = "dask-operator";

/// The operator as the chart of dask-kubernetes installs it, for this scenario's namespace.
async fn start_old_operator(world: &World, old: &World) -> Result<()> {
    old.kubectl(["create", "namespace", OLD_NAMESPACE]).await?;
    let image = &world.setting.python_image;
    let namespace = format!("--namespace={}", world.namespace);
    old.apply(&format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: dask-kubernetes}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: default, namespace: {OLD_NAMESPACE}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: dask-kubernetes-operator
  labels: {{app.kubernetes.io/name: dask-kubernetes-operator}}
spec:
  selector: {{matchLabels: {{app.kubernetes.io/name: dask-kubernetes-operator}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: dask-kubernetes-operator}}}}
    spec:
      containers:
      - name: operator
        image: {image}
        command: [kopf, run, -m, dask_kubernetes.operator.controller]
        args: ["--liveness=http://0.0.0.0:8080/healthz", "{namespace}"]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"#
    ))
    .await?;
    let look = || async {
        let found = old.pods("app.kubernetes.io/name=dask-kubernetes-operator").await?;
        pods::ready(old, &found.first().context("it has no pod")?.name_any()).await
    };
    until("dask-kubernetes's operator is ready", LIMIT, look).await.map(drop)
}

/// The pods of the cluster that are ready, by name, with their UIDs and restarts, which have to
/// be so many.
async fn running(world: &World, wanted: usize) -> Result<BTreeMap<String, (String, i32)>> {
    let found = world.pods("dask.org/cluster-name=inherited").await?;
    ensure!(found.len() == wanted, "there are {} pods", found.len());
    let mut all = BTreeMap::new();
    for pod in found {
        pods::ready(world, &pod.name_any()).await?;
        all.insert(pod.name_any(), (pod.uid().unwrap_or_default(), restarts(&pod)));
    }
    Ok(all)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).sum()
}
