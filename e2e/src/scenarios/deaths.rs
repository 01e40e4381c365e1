//! Pods die, and the work goes on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{
    runner::{World, until},
    scenarios::{
        cluster::manifest,
        dask::{self, LIMIT},
        killer,
    },
};

/// A worker pod is deleted by force in the middle of a workload.
pub async fn pod_deleted_by_force(world: Arc<World>) -> Result<()> {
    let victim = busy(&world, "forced").await?;
    let start = Instant::now();
    killer::delete_by_force(&world, &victim).await?;
    replaced(&world, "forced", &victim).await?;
    world.measure("forced deletion to the replacement serving", start.elapsed());
    dask::right_answer(&world, "forced", COUNT).await?;
    recovery(&world, "forced").await
}

/// A worker's process is killed in the middle of a workload.
pub async fn process_killed(world: Arc<World>) -> Result<()> {
    let victim = busy(&world, "killed").await?;
    killer::kill(&world, &victim).await?;
    replaced(&world, "killed", &victim).await?;
    dask::right_answer(&world, "killed", COUNT).await?;
    recovery(&world, "killed").await
}

/// A worker's container takes more memory than its limit, and the kernel kills the worker: its
/// death is told by its name.
pub async fn out_of_memory(world: Arc<World>) -> Result<()> {
    let victim = busy(&world, "greedy").await?;
    killer::exhaust_memory(&world, &victim).await?;
    replaced(&world, "greedy", &victim).await?;
    dask::right_answer(&world, "greedy", COUNT).await?;
    told(&world, "OOMKilled").await
}

/// A worker is evicted in the middle of a workload: it gives its work away and another comes.
pub async fn evicted(world: Arc<World>) -> Result<()> {
    let victim = busy(&world, "unwanted").await?;
    let start = Instant::now();
    killer::evict(&world, &victim).await?;
    replaced(&world, "unwanted", &victim).await?;
    world.measure("eviction to the replacement serving", start.elapsed());
    dask::right_answer(&world, "unwanted", COUNT).await?;
    Ok(())
}

/// Waits for an event of ours that has this word.
async fn told(world: &World, word: &str) -> Result<()> {
    let what = format!("an event of the operator has '{word}'");
    let look = || async {
        let path = "jsonpath={range .items[*]}{.source.component}{.reportingComponent} {.reason} \
                    {.message}{'\\n'}{end}";
        let events = world.kubectl(["get", "events", "-o", path]).await?;
        let ours: Vec<_> =
            events.lines().filter(|line| line.starts_with("dasklet-operator")).collect();
        ensure!(ours.iter().any(|line| line.contains(word)), "it told {ours:?}");
        Ok(())
    };
    until(&what, LIMIT, look).await.map(drop)
}

/// The scheduler's pod is killed: workers rejoin its successor, which takes new work.
pub async fn scheduler_killed(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("headless", 2)).await?;
    dask::serving(&world, "headless", 2).await?;
    let selector = "dask.org/cluster-name=headless,dask.org/component=scheduler";
    let old = world.pods(selector).await?.into_iter().next().context("no scheduler pod")?;
    let start = Instant::now();
    world.kubectl(["delete", "pod", &old.name_any(), "--grace-period=0", "--force"]).await?;
    until("another scheduler is ready", LIMIT, || async {
        let pods = world.pods(selector).await?;
        let new = pods.iter().find(|pod| pod.uid() != old.uid()).context("there is none")?;
        super::pods::ready(&world, &new.name_any()).await
    })
    .await?;
    dask::serving(&world, "headless", 2).await?;
    world.measure("scheduler killed to workers back", start.elapsed());
    dask::submit(&world, "headless", 100, 0.001).await?;
    dask::right_answer(&world, "headless", 100).await?;
    Ok(())
}

const COUNT: u64 = 600;

/// A cluster of two workers at work, and the pod of one of them.
async fn busy(world: &World, cluster: &str) -> Result<Pod> {
    world.apply(&manifest(cluster, 2)).await?;
    dask::serving(world, cluster, 2).await?;
    dask::submit(world, cluster, COUNT, 0.02).await?;
    dask::progress(world, cluster, 50).await?;
    dask::worker_pods(world, cluster).await?.into_iter().next().context("no worker pod")
}

/// Waits until two members serve of which none is the one that died.
async fn replaced(world: &World, cluster: &str, dead: &Pod) -> Result<()> {
    let uid = dead.uid().context("a pod without UID")?;
    let look = || async {
        let members = dask::members(world, cluster).await?;
        let old = members.iter().any(|member| member["instance"] == uid.as_str());
        ensure!(
            members.len() == 2 && !old,
            "{} serve, the dead one among them: {old}",
            members.len()
        );
        Ok(())
    };
    until("another worker is in the dead one's place", LIMIT, look).await?;
    Ok(())
}

/// Notes how long the scheduler says that lost tasks waited for their next attempt.
async fn recovery(world: &World, cluster: &str) -> Result<()> {
    let service = format!("{cluster}-scheduler");
    let metrics = world.get_service_text(&service, "http-dashboard", "/metrics").await?;
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
        line.split_whitespace().last()?.parse::<f64>().ok()
    };
    let sum = value("dasklet_recovery_seconds_sum").context("no recovery in /metrics")?;
    let count = value("dasklet_recovery_seconds_count").context("no recovery in /metrics")?;
    ensure!(count >= 1.0, "the scheduler counts {count} recoveries");
    world.measure("death to the next attempt", Duration::from_secs_f64(sum / count));
    Ok(())
}
