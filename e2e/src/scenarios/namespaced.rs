//! An operator of one namespace.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::{
    runner::World,
    scenarios::{cluster::manifest, dask, installed},
};

/// Installed for one namespace the operator serves that one, needs no rights elsewhere, and
/// leaves other namespaces alone.
pub async fn keeps_to_its_own(world: Arc<World>) -> Result<()> {
    let other = format!("{}-other", world.namespace);
    world.kubectl(["create", "namespace", &other]).await?;
    let outcome = installed::without_operator(&world, serves_one(&world, &other)).await;
    world.kubectl(["delete", "namespace", &other, "--wait=false"]).await?;
    outcome
}

async fn serves_one(world: &World, other: &str) -> Result<()> {
    let chart = world.setting.chart.to_string_lossy().into_owned();
    let namespaces = format!("rbac.namespaces={{{}}}", world.namespace);
    let install = ["install", "own", &chart, "--namespace", &world.namespace];
    let values = ["--set", "rbac.cluster=false", "--set", "crds.apply=false", "--set", &namespaces];
    let wait = ["--wait", "--timeout", "90s"];
    world.helm(install.into_iter().chain(values).chain(wait)).await?;

    let roles = world.kubectl(["get", "clusterroles,clusterrolebindings", "-o", "name"]).await?;
    let given: Vec<_> = roles.lines().filter(|name| name.contains("/own-")).collect();
    ensure!(given.is_empty(), "it got rights everywhere: {given:?}");
    // The other namespace's cluster is there first, so that it would be served first.
    let elsewhere = World::new(world.setting.clone(), world.client.clone(), other.to_owned());
    elsewhere.apply(&manifest("elsewhere", 1)).await?;
    world.apply(&manifest("here", 2)).await?;
    dask::serving(world, "here", 2).await?;
    dask::condition(world, "DaskCluster", "here", ("Ready", "True")).await?;
    world.kubectl(["scale", "daskcluster/here", "--replicas=1"]).await?;
    dask::worker_count(world, "here", 1).await?;
    let object = dask::object(&elsewhere, "DaskCluster", "elsewhere").await?;
    ensure!(object["status"].is_null(), "the other namespace has {}", object["status"]);
    let pods = elsewhere.pods("dask.org/cluster-name=elsewhere").await?;
    ensure!(pods.is_empty(), "the other namespace has {} pods", pods.len());
    world.kubectl(["delete", "daskcluster", "here", "--wait=true"]).await?;
    world.helm(["uninstall", "own", "--namespace", &world.namespace, "--wait"]).await?;
    Ok(())
}
