//! The operator itself dies, and is told nonsense.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use kube::ResourceExt;
use serde_json::Value;

use crate::{
    runner::{OPERATOR_NAMESPACE, World, until},
    scenarios::{
        cluster::manifest,
        dask::{self, LIMIT},
    },
};

/// The operator is killed while a cluster grows: its successor ends what it began, and neither
/// makes a pod too many.
pub async fn killed_at_work(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("orphan", 1)).await?;
    dask::serving(&world, "orphan", 1).await?;
    let before = dask::worker_pods(&world, "orphan").await?;
    world.kubectl(["scale", "daskcluster/orphan", "--replicas=5"]).await?;
    kill_operator(&world).await?;
    until("five workers, never more", LIMIT, || async {
        let count = dask::worker_pods(&world, "orphan").await?.len();
        ensure!(count >= 5, "{count} worker pods");
        Ok(())
    })
    .await?;
    dask::serving(&world, "orphan", 5).await?;
    let pods = dask::worker_pods(&world, "orphan").await?;
    ensure!(pods.len() == 5, "there are {} worker pods", pods.len());
    let kept =
        |old: &k8s_openapi::api::core::v1::Pod| pods.iter().any(|pod| pod.uid() == old.uid());
    ensure!(before.iter().all(kept), "a worker that served was replaced");
    world.kubectl(["scale", "daskcluster/orphan", "--replicas=1"]).await?;
    dask::serving(&world, "orphan", 1).await?;
    Ok(())
}

async fn kill_operator(world: &World) -> Result<()> {
    let arguments =
        ["-n", OPERATOR_NAMESPACE, "delete", "pod", "--all", "--grace-period=0", "--force"];
    world.kubectl(arguments).await.map(drop)
}

/// Bad manifests: what the API server can tell it refuses with a message; what it cannot, such as
/// a template that it refuses only as a pod, becomes a condition that names the remedy.
pub async fn bad_manifests(world: Arc<World>) -> Result<()> {
    for (what, spec, word) in [
        ("a negative count", r#"{"worker": {"replicas": -1}}"#, "replicas"),
        (
            "limits the wrong way round",
            r#"{"worker": {"autoscale": {"minReplicas": 5, "maxReplicas": 2}}}"#,
            "maxReplicas",
        ),
    ] {
        let spec: Value = serde_json::from_str(spec)?;
        let manifest = serde_json::json!({"apiVersion": "kubernetes.dask.org/v1",
            "kind": "DaskCluster", "metadata": {"name": "bad"}, "spec": spec});
        match world.apply(&manifest.to_string()).await {
            Ok(answer) => bail!("{what} was taken: {answer}"),
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains(word), "the message about {what} has no {word}: {text}");
            }
        }
    }
    world
        .apply(
            r"
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata: {name: template}
spec:
  worker:
    replicas: 1
    spec: {containers: [{name: Not_A_Name, image: x}]}
",
        )
        .await?;
    let (reason, message) =
        dask::condition(&world, "DaskCluster", "template", ("TemplatesValid", "False")).await?;
    ensure!(!reason.is_empty(), "the condition has no reason");
    ensure!(message.contains("Not_A_Name") || message.contains("name"), "it says: {message}");
    // Mended, it comes up.
    world.apply(&manifest("template", 1)).await?;
    let patch = r#"[{"op": "remove", "path": "/spec/worker/spec"}]"#;
    world.kubectl(["patch", "daskcluster", "template", "--type=json", "-p", patch]).await.ok();
    dask::serving(&world, "template", 1).await.context("the mended cluster did not come up")?;
    Ok(())
}
