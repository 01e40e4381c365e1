//! A cluster comes up and goes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// The manifest of a cluster with so many workers. They ask for no processor, of which a machine
/// of tests has few.
pub fn manifest(name: &str, workers: u32) -> String {
    format!(
        r#"
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata: {{name: {name}}}
spec:
  worker:
    replicas: {workers}
    memory: 256Mi
"#
    )
}

/// Three workers register; the resource says so; deleting it leaves nothing.
pub async fn comes_and_goes(world: Arc<World>) -> Result<()> {
    let start = Instant::now();
    world.apply(&manifest("first", 3)).await?;
    dask::serving(&world, "first", 3).await?;
    let time = start.elapsed();
    world.measure("apply to three workers", time);
    dask::condition(&world, "DaskCluster", "first", ("Ready", "True")).await?;
    let object = dask::object(&world, "DaskCluster", "first").await?;
    ensure!(object["status"]["phase"] == "Running", "its status is {}", object["status"]);
    ensure!(object["status"]["readyReplicas"] == 3, "its status is {}", object["status"]);
    dask::submit(&world, "first", 100, 0.001).await?;
    dask::right_answer(&world, "first", 100).await?;

    let start = Instant::now();
    world.kubectl(["delete", "daskcluster", "first", "--wait=true"]).await?;
    until("nothing of the cluster is left", LIMIT, || async {
        let selector = "dask.org/cluster-name=first";
        let left = world.kubectl(["get", "all", "-l", selector, "-o", "name"]).await?;
        if !left.trim().is_empty() {
            bail!("{}", left.replace('\n', " "));
        }
        Ok(())
    })
    .await?;
    let gone = start.elapsed();
    world.measure("delete to nothing left", gone);
    ensure!(gone < Duration::from_secs(15), "deleting took {:.1} s", gone.as_secs_f64());
    ensure!(time < Duration::from_secs(5), "three workers took {:.1} s", time.as_secs_f64());
    Ok(())
}

/// `kubectl scale` on the cluster and on a group, up and down, and the words of `kubectl get`.
pub async fn scales_by_hand(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("hand", 1)).await?;
    dask::serving(&world, "hand", 1).await?;
    for (target, replicas) in [
        ("daskcluster/hand", 3),
        ("daskworkergroup/hand-default", 4),
        ("daskworkergroup/hand-default", 2),
        ("daskcluster/hand", 1),
    ] {
        let count = format!("--replicas={replicas}");
        let start = Instant::now();
        world.kubectl(["scale", target, &count]).await?;
        dask::worker_count(&world, "hand", replicas).await?;
        dask::serving(&world, "hand", replicas).await?;
        world.measure(&format!("{target} to {replicas}"), start.elapsed());
    }
    let look = || async {
        let group = dask::object(&world, "DaskWorkerGroup", "hand-default").await?;
        ensure!(group["status"]["readyReplicas"] == 1, "its status is {}", group["status"]);
        Ok(())
    };
    until("the group's status follows", LIMIT, look).await?;
    let table = world.kubectl(["get", "dsk,daskworkers"]).await?;
    ensure!(table.contains("hand-default"), "kubectl shows {table}");
    Ok(())
}

/// A second group is made, serves beside the default one, and goes alone.
pub async fn has_a_second_group(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("two", 1)).await?;
    dask::serving(&world, "two", 1).await?;
    world
        .apply(
            r"
apiVersion: kubernetes.dask.org/v1
kind: DaskWorkerGroup
metadata: {name: more}
spec:
  cluster: two
  worker: {replicas: 2, memory: 256Mi}
",
        )
        .await?;
    dask::serving(&world, "two", 3).await?;
    world.kubectl(["delete", "daskworkergroup", "more"]).await?;
    dask::serving(&world, "two", 1).await?;
    Ok(())
}

/// `suspend` removes all pods and brings them back.
pub async fn is_suspended(world: Arc<World>) -> Result<()> {
    world.apply(&manifest("rest", 2)).await?;
    dask::serving(&world, "rest", 2).await?;
    let patch = |value: bool| format!(r#"{{"spec":{{"suspend":{value}}}}}"#);
    let patched = ["patch", "daskcluster", "rest", "--type=merge", "-p"];
    let words = |value| patched.iter().map(|&word| word.to_owned()).chain([patch(value)]);
    world.kubectl(words(true)).await?;
    until("no pod is left", LIMIT, || async {
        let left = world.pods("dask.org/cluster-name=rest").await?.len();
        ensure!(left == 0, "{left} are");
        Ok(())
    })
    .await?;
    dask::condition(&world, "DaskCluster", "rest", ("Suspended", "True")).await?;
    world.kubectl(words(false)).await?;
    dask::serving(&world, "rest", 2).await?;
    Ok(())
}
