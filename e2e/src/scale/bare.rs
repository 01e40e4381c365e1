//! The reference: one client that creates pods by plain calls.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::census::Census;

const NAMESPACE: &str = "bare";

/// Creates so many pods, and returns the time until all run.
pub async fn measure(client: &Client, census: &mut Census, count: usize) -> Result<Duration> {
    make_namespace(client, NAMESPACE).await?;
    let start = Instant::now();
    create(client, count).await?;
    let all = census.running(NAMESPACE, count, Duration::from_secs(300)).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete_collection(&now, &kube::api::ListParams::default()).await?;
    census.gone(NAMESPACE, Duration::from_secs(300)).await?;
    Ok(all - start)
}

async fn create(client: &Client, count: usize) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let create = |index: usize| {
        let pods = pods.clone();
        async move {
            let pod = serde_json::from_value(json!({
                "metadata": {"name": format!("pod-{index}")},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            }))?;
            pods.create(&PostParams::default(), &pod).await.context("cannot create a pod")
        }
    };
    stream::iter(0..count).map(create).buffer_unordered(24).try_collect::<Vec<_>>().await?;
    Ok(())
}

/// A namespace in which pods can be created.
pub async fn make_namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(client.clone(), name);
    let look = || async { accounts.get("default").await.map(drop).map_err(anyhow::Error::from) };
    crate::runner::until("the namespace is ready", Duration::from_secs(30), look).await?;
    Ok(())
}
