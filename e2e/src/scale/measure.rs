//! Many clusters at once, and a small one in the middle.

use std::{
    ffi::OsStr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};

use crate::{
    ControlPlane, Options, command,
    scale::{
        audit,
        bare::{self, make_namespace},
        census::Census,
        endpoints::Endpoints,
        process::usage,
    },
};

const LIMIT: Duration = Duration::from_secs(300);
/// After the last pod runs, statuses are still written; then there is rest.
const SETTLES: Duration = Duration::from_secs(10);

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Clusters that are applied at once.
    pub clusters: usize,
    /// Workers of each.
    pub workers: usize,
    /// For so long the demand of all schedulers changes each second.
    pub restless: Duration,
    /// For so long nothing happens at all.
    pub idle: Duration,
}

/// Measures an operator on a control plane of its own, with a client that creates as many bare
/// pods as reference, and returns one JSON document of seconds and bytes.
pub async fn measure(operator: &Path, size: Size) -> Result<Value> {
    let pods = size.clusters * (size.workers + 1);
    let options = Options { fake_nodes: pods / 500 + 1, ..Options::default() };
    let plane = ControlPlane::start(&options).await?;
    let client = plane.client().await?;
    let mut census = Census::start(&client);
    let bare = bare::measure(&client, &mut census, pods).await?;

    let kubeconfig = plane.kubeconfig();
    command::run(Command::new(operator).arg("crds").env("KUBECONFIG", &kubeconfig))
        .context("cannot install the definitions")?;
    let endpoints = Endpoints::start(census.subscribe()).await?;
    let environment: [(&str, &OsStr); 1] = [("KUBECONFIG", kubeconfig.as_os_str())];
    let arguments =
        ["--listen=127.0.0.1:0".to_owned(), format!("--scheduler-url={}", endpoints.url())];
    let pid = plane.processes().start("operator", operator, arguments, &environment)?;
    for namespace in ["many", "small"] {
        make_namespace(&client, namespace).await?;
    }

    let written = audit::writes(&client).await?;
    let start = Instant::now();
    let apply = |index: usize| create(&client, "many", format!("c{index}"), size.workers);
    stream::iter(0..size.clusters).map(apply).buffer_unordered(24).try_collect::<Vec<_>>().await?;
    let applied = start.elapsed();
    census.running("many", pods * 3 / 10, LIMIT).await?;
    let asked = Instant::now();
    create(&client, "small", "small".to_owned(), 2).await?;
    let small = census.running("small", 3, LIMIT).await? - asked;
    let all = census.running("many", pods, LIMIT).await.with_context(|| {
        format!("the end of the operator's log:\n{}", plane.processes().tail("operator"))
    })? - start;
    let grown = usage(pid)?;
    let written = audit::writes(&client).await? - written;

    tokio::time::sleep(SETTLES).await;
    let (settled, before) = (usage(pid)?, Instant::now());
    endpoints.restless(size.restless).await;
    let (restless, seconds) = (usage(pid)?, before.elapsed().as_secs_f64());
    tokio::time::sleep(SETTLES).await;

    let writes = audit::writes(&client).await?;
    tokio::time::sleep(size.idle).await;
    let idle_writes = audit::writes(&client).await? - writes;
    let end = usage(pid)?;
    plane.processes().check("operator")?;
    Ok(json!({
        "name": "operator-scale",
        "clusters": size.clusters,
        "workers": size.workers,
        "pods": pods + 3,
        "seconds": round(all.as_secs_f64()),
        "appliedSeconds": round(applied.as_secs_f64()),
        "smallSeconds": round(small.as_secs_f64()),
        "bareSeconds": round(bare.as_secs_f64()),
        "operatorCpuSeconds": round(grown.processor),
        "operatorPeakBytes": end.peak,
        "writes": written,
        "restlessCores": round((restless.processor - settled.processor) / seconds.max(0.001)),
        "idleSeconds": size.idle.as_secs(),
        "idleWrites": idle_writes,
        "idleCpuSeconds": round(end.processor - restless.processor),
    }))
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

async fn create(client: &Client, namespace: &str, name: String, workers: usize) -> Result<()> {
    let kind = GroupVersionKind::gvk("kubernetes.dask.org", "v1", "DaskCluster");
    let resource = ApiResource::from_gvk_with_plural(&kind, "daskclusters");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let cluster = serde_json::from_value(json!({
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {"worker": {
            "threads": 1, "memory": "1Gi",
            "autoscale": {"minReplicas": workers, "maxReplicas": 2 * workers},
        }},
    }))?;
    api.create(&PostParams::default(), &cluster).await.context("cannot create a cluster")?;
    Ok(())
}
