//! More than one operator.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};

use crate::{
    runner::{OPERATOR_NAMESPACE, World, until},
    scenarios::{
        cluster::manifest,
        dask::{self, LIMIT},
    },
};

/// Of two operators the leader is killed: the other takes over, and nothing is done twice.
pub async fn killed(world: Arc<World>) -> Result<()> {
    set_replicas(&world, 2).await?;
    let story = async {
        let old = holder(&world).await?;
        world.apply(&manifest("heirs", 1)).await?;
        dask::serving(&world, "heirs", 1).await?;
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let start = Instant::now();
        pods.delete(&old, &now).await.with_context(|| format!("no pod is the leader {old}"))?;
        world.kubectl(["scale", "daskcluster/heirs", "--replicas=3"]).await?;
        dask::serving(&world, "heirs", 3).await?;
        world.measure("leader killed to the order carried out", start.elapsed());
        let count = dask::worker_pods(&world, "heirs").await?.len();
        ensure!(count == 3, "there are {count} worker pods");
        let new = holder(&world).await?;
        ensure!(new != old, "the dead one, {old}, still leads");
        Ok(())
    };
    let outcome = story.await;
    set_replicas(&world, 1).await?;
    outcome
}

async fn set_replicas(world: &World, replicas: u32) -> Result<()> {
    let chart = world.setting.chart.to_string_lossy().into_owned();
    let count = format!("replicas={replicas}");
    let arguments = [
        "upgrade",
        "dasklet-operator",
        &chart,
        "--namespace",
        OPERATOR_NAMESPACE,
        "--reuse-values",
        "--set",
        &count,
        "--wait",
        "--timeout",
        "90s",
    ];
    world.helm(arguments).await.map(drop)
}

/// The pod that the Lease names, once it names one.
async fn holder(world: &World) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    let look = || async {
        let all = leases.list(&ListParams::default()).await?.items;
        let mut holders = all.into_iter().filter_map(|lease| lease.spec?.holder_identity);
        holders.find(|name| !name.is_empty()).context("no Lease has a holder")
    };
    Ok(until("an operator leads", LIMIT, look).await?.0)
}
