//! Jobs.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// A native workload on a cluster of its own, which goes with it, and a runner pod that fails.
pub async fn end(world: Arc<World>) -> Result<()> {
    world
        .apply(
            r#"
apiVersion: kubernetes.dask.org/v1
kind: DaskJob
metadata: {name: cubes}
spec:
  workload:
    tasks:
    - {name: cubes, op: cube, args: [{index: true}], array: "0..100"}
    - {name: total, op: sum, args: [{from: cubes}], result: true}
  cluster:
    spec:
      worker: {replicas: 1, memory: 256Mi}
"#,
        )
        .await?;
    dask::condition(&world, "DaskJob", "cubes", ("Complete", "True")).await?;
    let job = dask::object(&world, "DaskJob", "cubes").await?;
    ensure!(job["status"]["jobStatus"] == "Successful", "its status is {}", job["status"]);
    until("the job's cluster is gone", LIMIT, || async {
        let left = world.pods("dask.org/component=worker").await?.len();
        ensure!(left == 0, "{left} worker pods are there");
        Ok(())
    })
    .await?;
    let image = &world.setting.engine_image;
    world
        .apply(&format!(
            r#"
apiVersion: kubernetes.dask.org/v1
kind: DaskJob
metadata: {{name: fails}}
spec:
  job:
    spec:
      restartPolicy: Never
      containers: [{{name: job, image: "{image}", command: [sh, -c, "echo no such luck; exit 3"]}}]
  cluster:
    spec:
      worker: {{replicas: 1, memory: 256Mi}}
"#
        ))
        .await?;
    dask::condition(&world, "DaskJob", "fails", ("Failed", "True")).await?;
    let job = dask::object(&world, "DaskJob", "fails").await?;
    ensure!(job["status"]["jobStatus"] == "Failed", "its status is {}", job["status"]);
    Ok(())
}
