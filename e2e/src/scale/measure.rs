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
        bare::{self, make_namespace},
        census::Census,
        process::usage,
    },
};

const LIMIT: Duration = Duration::from_secs(300);

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Clusters that are applied at once.
    pub clusters: usize,
    /// Workers of each.
    pub workers: usize,
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
    let environment: [(&str, &OsStr); 1] = [("KUBECONFIG", kubeconfig.as_os_str())];
    let arguments = ["--listen", "127.0.0.1:0"];
    let pid = plane.processes().start("operator", operator, arguments, &environment)?;
    for namespace in ["many", "small"] {
        make_namespace(&client, namespace).await?;
    }

    let start = Instant::now();
    let many = async {
        let apply = |index: usize| create(&client, "many", format!("c{index}"), size.workers);
        stream::iter(0..size.clusters).map(apply).buffer_unordered(24).try_collect::<Vec<_>>().await
    };
    many.await?;
    let applied = start.elapsed();
    census.running("many", pods * 3 / 10, LIMIT).await?;
    let asked = Instant::now();
    create(&client, "small", "small".to_owned(), 2).await?;
    let small = census.running("small", 3, LIMIT).await? - asked;
    let all = census.running("many", pods, LIMIT).await.with_context(|| {
        format!("the end of the operator's log:\n{}", plane.processes().tail("operator"))
    })? - start;
    let usage = usage(pid)?;
    plane.processes().check("operator")?;
    Ok(json!({
        "name": "operator-scale",
        "clusters": size.clusters,
        "workers": size.workers,
        "pods": pods,
        "seconds": round(all.as_secs_f64()),
        "appliedSeconds": round(applied.as_secs_f64()),
        "smallSeconds": round(small.as_secs_f64()),
        "bareSeconds": round(bare.as_secs_f64()),
        "operatorCpuSeconds": round(usage.processor),
        "operatorPeakBytes": usage.peak,
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
        "spec": {"worker": {"replicas": workers, "threads": 1, "memory": "1Gi"}},
    }))?;
    api.create(&PostParams::default(), &cluster).await.context("cannot create a cluster")?;
    Ok(())
}
