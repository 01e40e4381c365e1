//! Workers follow the queue.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// From no worker to several for a submitted workload, and back to none.
pub async fn from_zero_and_back(world: Arc<World>) -> Result<()> {
    world
        .apply(
            r"
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata: {name: tide}
spec:
  worker:
    memory: 256Mi
    autoscale:
      minReplicas: 0
      maxReplicas: 4
      targetDurationSeconds: 1
      behavior: {scaleDown: {stabilizationWindowSeconds: 3}}
",
        )
        .await?;
    dask::condition(&world, "DaskCluster", "tide", ("SchedulerReady", "True")).await?;
    dask::worker_count(&world, "tide", 0).await?;

    dask::submit(&world, "tide", 300, 0.1).await?;
    let start = Instant::now();
    until("there are workers", LIMIT, || async {
        let count = dask::worker_pods(&world, "tide").await?.len();
        ensure!(count > 0, "there are none");
        Ok(())
    })
    .await?;
    world.measure("submission to the first pod", start.elapsed());
    dask::worker_count(&world, "tide", 4).await?;
    dask::right_answer(&world, "tide", 300).await?;
    let start = Instant::now();
    dask::worker_count(&world, "tide", 0).await?;
    world.measure("end of the work to no worker", start.elapsed());
    let group = dask::object(&world, "DaskWorkerGroup", "tide-default").await?;
    let reason = &group["status"]["lastDecision"]["reason"];
    ensure!(
        reason.as_str().is_some_and(|text| !text.is_empty()),
        "its status is {}",
        group["status"]
    );
    Ok(())
}
