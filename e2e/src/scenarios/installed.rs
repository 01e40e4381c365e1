//! The operator that all scenarios share, out of the way and back.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};

use crate::{
    runner::{OPERATOR_NAMESPACE, World, until},
    scenarios::dask::LIMIT,
};

/// Runs a story while the shared operator is stopped, and starts it again whatever comes of it.
pub async fn without_operator<T>(
    world: &World,
    story: impl Future<Output = Result<T>>,
) -> Result<T> {
    stop(world).await?;
    let outcome = story.await;
    start(world).await.context("the operator was not started again")?;
    outcome
}

/// Stops it and waits until its pod is gone.
pub async fn stop(world: &World) -> Result<()> {
    replicas(world, "0").await?;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    let look = || async {
        let left = pods.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} pods are there");
        Ok(())
    };
    until("the operator is gone", LIMIT, look).await.map(drop)
}

/// Starts it and waits until it is ready.
pub async fn start(world: &World) -> Result<()> {
    replicas(world, "1").await?;
    let words = ["-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/dasklet-operator"];
    world.kubectl(words.into_iter().chain(["--timeout=90s"])).await.map(drop)
}

async fn replicas(world: &World, count: &str) -> Result<()> {
    let count = format!("--replicas={count}");
    let words = ["-n", OPERATOR_NAMESPACE, "scale", "deployment/dasklet-operator", &count];
    world.kubectl(words).await.map(drop)
}
