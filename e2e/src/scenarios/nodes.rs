//! Nodes are drained.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;

use crate::{
    runner::{World, until},
    scenarios::{
        cluster::manifest,
        dask::{self, LIMIT},
    },
};

const COUNT: u64 = 600;

/// The node of some workers is drained in the middle of a workload: they are evicted, others
/// come up elsewhere, and the answer is right.
pub async fn drained(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("moving", 4)).await?;
    dask::serving(&world, "moving", 4).await?;
    let selector = "dask.org/cluster-name=moving,dask.org/component=scheduler";
    let scheduler = world.pods(selector).await?.into_iter().next().context("no scheduler pod")?;
    let stays = node_of(&scheduler).context("the scheduler is on no node")?.to_owned();
    let pods = dask::worker_pods(&world, "moving").await?;
    let goes = pods.iter().filter_map(node_of).find(|node| **node != stays);
    let goes = goes.context("all pods are on one node: the scenario needs two")?.to_owned();
    dask::submit(&world, "moving", COUNT, 0.02).await?;
    dask::progress(&world, "moving", 50).await?;

    let start = Instant::now();
    // The other scenarios' pods are left alone, the operator's among them.
    let ours = "--pod-selector=dask.org/cluster-name=moving";
    let drain = ["drain", &goes, "--ignore-daemonsets", "--delete-emptydir-data", "--force", ours];
    let story = async {
        world.kubectl(drain).await?;
        world.measure("node drained", start.elapsed());
        until("four workers on the other node", LIMIT, || async {
            let pods = dask::worker_pods(&world, "moving").await?;
            let there = pods.iter().filter(|pod| node_of(pod) == Some(&stays)).count();
            ensure!(there == 4, "{there} are");
            Ok(())
        })
        .await?;
        dask::serving(&world, "moving", 4).await?;
        world.measure("drain to four workers elsewhere", start.elapsed());
        dask::right_answer(&world, "moving", COUNT).await
    };
    let outcome = story.await;
    world.kubectl(["uncordon", &goes]).await.with_context(|| format!("{goes} stays cordoned"))?;
    outcome.map(drop)
}

fn node_of(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.node_name.as_ref()
}
