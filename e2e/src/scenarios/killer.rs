//! Deaths that come from outside: signals, lack of memory, evictions.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams},
};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// Sends SIGKILL to all processes of a pod that run our program, from the pod's node, as nothing
/// within the pod could: the first process of a container is safe from its own.
pub async fn kill(world: &World, victim: &Pod) -> Result<()> {
    let uid = victim.uid().context("a pod without UID")?;
    let node = victim.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let name = format!("kill-{}", victim.name_any());
    // Some drivers of control groups write the UID with other dashes.
    let group = uid.replace('-', ".");
    let script = format!(
        "for it in /proc/[0-9]*; do grep -q {group} $it/cgroup && grep -q dasklet $it/cmdline && \
         kill -9 ${{it#/proc/}} && echo killed; done 2>/dev/null; true"
    );
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "nodeName": node.context("the pod is on no node")?,
            "hostPID": true,
            "containers": [{
                "name": "kill",
                "image": world.setting.engine_image,
                "command": ["sh", "-c", script],
                "securityContext": {"privileged": true, "runAsUser": 0},
            }],
        },
    });
    world.apply(&pod.to_string()).await?;
    let (log, _) = until("the signal is sent", LIMIT, || dask::finished(world, &name)).await?;
    anyhow::ensure!(log.contains("killed"), "no process of {} was found", victim.name_any());
    Ok(())
}

/// Takes more memory in the pod's container than it may. The kernel kills the largest process of
/// the container: each of these is smaller than a worker, all together are too much.
pub async fn exhaust_memory(world: &World, victim: &Pod) -> Result<()> {
    let name = victim.name_any();
    let hogs = "for i in $(seq 400); do head -c 4000000 /dev/zero | tail -c 4000000 | sleep 60 & \
                done; wait";
    // It ends with the container, by an error.
    world.kubectl(["exec", &name, "--", "sh", "-c", hogs]).await.ok();
    Ok(())
}

/// Deletes a pod without asking anybody.
pub async fn delete_by_force(world: &World, victim: &Pod) -> Result<()> {
    let pods: Api<Pod> = world.api();
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(&victim.name_any(), &now).await?;
    Ok(())
}

/// Evicts a pod, as draining a node does.
pub async fn evict(world: &World, victim: &Pod) -> Result<()> {
    let pods: Api<Pod> = world.api();
    pods.evict(&victim.name_any(), &EvictParams::default()).await?;
    Ok(())
}
