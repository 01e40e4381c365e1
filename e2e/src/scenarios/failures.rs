//! Failures, and what a person sees of them with kubectl.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::{
    runner::{World, until},
    scenarios::dask::{self, LIMIT},
};

/// Something that is wrong with a cluster, and what has to be told of it.
struct Failure {
    /// The cluster's name.
    name: &'static str,
    /// Its spec; `IMAGE` stands for the engine's.
    spec: &'static str,
    /// The reason of its condition Ready.
    reason: &'static str,
    /// Words of the condition's message: the object, and the remedy.
    words: &'static [&'static str],
}

const FAILURES: &[Failure] = &[
    Failure {
        name: "wrong-image",
        spec: "worker: {replicas: 1, image: registry.invalid/no/such:image}",
        reason: "ImagePullFailed",
        words: &["wrong-image-default-worker-0", "Check the image's name"],
    },
    Failure {
        name: "wrong-template",
        spec: "worker: {replicas: 1, spec: {containers: [{name: Not_A_Name, image: x}]}}",
        reason: "TemplateRefused",
        words: &["Not_A_Name"],
    },
    Failure {
        name: "too-large",
        spec: "worker: {replicas: 1, threads: 500}",
        reason: "Unschedulable",
        words: &["too-large-default-worker-0", "Add nodes or lower its requests"],
    },
    Failure {
        name: "out-of-memory",
        spec: "worker: {replicas: 1, spec: {containers: [{name: worker, image: IMAGE, \
               command: [sh, -c, 'head -c 200000000 /dev/zero | tail'], \
               resources: {limits: {memory: 32Mi}}}]}}",
        reason: "OutOfMemory",
        words: &["out-of-memory-default-worker-", "Raise its memory"],
    },
    Failure {
        name: "crash-loop",
        spec: "scheduler: {spec: {containers: [{name: scheduler, image: IMAGE, \
               command: [sh, -c, 'echo no such luck; exit 3']}]}}\n  worker: {replicas: 1}",
        reason: "CrashLoop",
        words: &["container scheduler of pod crash-loop-scheduler", "exit code 3", "kubectl logs"],
    },
    Failure {
        name: "silent-scheduler",
        spec: "scheduler: {spec: {containers: [{name: scheduler, image: IMAGE, \
               command: [sleep, '3600']}]}}\n  worker: {replicas: 1}",
        reason: "SchedulerUnreachable",
        words: &["silent-scheduler-scheduler"],
    },
    Failure {
        name: "over-quota",
        spec: "worker: {replicas: 3, memory: 64Mi}",
        reason: "QuotaExceeded",
        words: &["over-quota", "exceeded quota"],
    },
];

/// Each failure has its reason and its remedy in the cluster's condition, and both are seen with
/// `kubectl get` and `kubectl describe`.
pub async fn are_told(world: Arc<World>) -> Result<()> {
    for failure in FAILURES {
        // One at a time, so that a transcript shows one.
        if failure.name == "over-quota" {
            world.kubectl(["create", "quota", "few-pods", "--hard=pods=2"]).await?;
        }
        is_told(&world, failure).await.with_context(|| failure.name)?;
        let gone = ["delete", "daskcluster", failure.name, "--wait=true", "--timeout=60s"];
        world.kubectl(gone).await?;
        let selector = format!("dask.org/cluster-name={}", failure.name);
        let look = || async {
            let left = world.kubectl(["get", "pods", "-l", &selector, "-o", "name"]).await?;
            ensure!(left.trim().is_empty(), "{left}");
            Ok(())
        };
        until("its pods are gone", LIMIT, look).await?;
    }
    Ok(())
}

async fn is_told(world: &World, failure: &Failure) -> Result<()> {
    let name = failure.name;
    let spec = failure.spec.replace("IMAGE", &world.setting.engine_image);
    world
        .apply(&format!(
            "apiVersion: kubernetes.dask.org/v1\nkind: DaskCluster\nmetadata: {{name: {name}}}\n\
             spec:\n  {spec}\n"
        ))
        .await?;
    let look = || async {
        let object = dask::object(world, "DaskCluster", name).await?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().find(|each| each["type"] == "Ready").cloned();
        let ready = ready.with_context(|| format!("it has {conditions:?}"))?;
        ensure!(ready["status"] != "True", "it is ready");
        ensure!(ready["reason"] == failure.reason, "it is {ready}");
        for word in failure.words {
            let message = ready["message"].as_str().unwrap_or_default();
            ensure!(message.contains(word), "no '{word}' in the message: {message}");
        }
        Ok(())
    };
    until(&format!("Ready is not so for {}", failure.reason), LIMIT, look).await?;
    let selector = format!("dask.org/cluster-name={name}");
    for command in [
        vec!["get", "daskcluster", name],
        vec!["get", "daskcluster", name, "-o", "wide"],
        vec!["get", "daskworkergroups,pods", "-l", selector.as_str()],
        vec!["describe", "daskcluster", name],
    ] {
        let told = world.kubectl(&command).await?;
        let is_shown = command[0] == "describe" || command.contains(&"wide");
        if is_shown {
            ensure!(told.contains(failure.reason), "`kubectl {}`: {told}", command.join(" "));
        }
        world.write_transcript(name, &format!("$ kubectl {}\n{told}\n", command.join(" ")))?;
    }
    Ok(())
}
