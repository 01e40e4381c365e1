//! Jobs: their cluster, their runner pod, and what its end means.

use std::sync::Arc;

use dasklet_api::{DaskJobSpec, DaskJobStatus, ShutdownPolicy, conditions::SUSPENDED};
use serde_json::{Value, json};

use super::{
    attempt,
    clock::{parse_time, rfc3339},
    job_status::{self, Stand, Standing},
    memory::Memory,
    reachable::scheduler_pod,
    settings::Settings,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names,
    observe::{ClusterObject, JobObject, Observed, Pod, PodPhase},
    template::{self, Parent, Runner},
};

/// The kubelet ends a runner at its deadline and keeps its log; after so long it is deleted.
const KUBELET_PATIENCE_MICROS: u64 = 15_000_000;

/// What a job's plan is made from.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub settings: &'a Settings,
    pub observed: &'a Observed,
    pub address: &'a str,
    pub job: &'a JobObject,
    pub spec: &'a DaskJobSpec,
    pub now: u64,
}

/// Whether a job has ended.
pub fn is_finished(job: &JobObject) -> bool {
    matches!(job.status.job_status.as_deref(), Some("Successful" | "Failed"))
}

/// Plans the jobs that run on this cluster.
pub fn plan_jobs(
    settings: &Settings,
    observed: &Observed,
    address: &str,
    memory: &mut Memory,
    now: u64,
    plan: &mut Plan,
) {
    attempt::forget(observed, memory);
    for job in observed.jobs.values().filter(|job| !job.meta.deleting) {
        let Ok(spec) = &job.spec else {
            let stand = Standing::invalid(job.fault().unwrap_or_default());
            job_status::tell(job, stand, now, memory, plan);
            continue;
        };
        let desk = Desk { settings, observed, address, job, spec, now };
        if is_finished(job) {
            clean_up(&desk, plan);
            continue;
        }
        let stand = match job.fault() {
            Some(words) => Standing::invalid(words),
            None => step(&desk, memory, plan),
        };
        job_status::tell(job, stand, now, memory, plan);
    }
}

fn step(desk: &Desk<'_>, memory: &mut Memory, plan: &mut Plan) -> Standing {
    let Some(cluster) = cluster_name(desk) else {
        return Standing::new(Stand::NoCluster(
            "no DaskCluster has the labels of spec.clusterSelector: create one, or correct them"
                .to_owned(),
        ));
    };
    let attempt = desk.job.status.attempts.unwrap_or(1).max(1);
    let mut standing = Standing::new(Stand::Waiting);
    standing.cluster = Some(cluster.clone());
    standing.runner = Some(names::runner(&desk.job.meta.name, attempt));
    standing.attempt = attempt;
    let refused = memory.failures.get(&Target::new(Kind::Job, &desk.job.meta.name));
    standing.refused = refused.map(|failure| (failure.reason, failure.message.clone()));
    if desk.observed.key.name != cluster {
        // The status says first which cluster it is; then the job is planned with that.
        return standing;
    }
    let suspended = desk.spec.suspend == Some(true);
    if let Some(words) = own_cluster(desk, suspended, plan) {
        standing.stand = Stand::NoCluster(words);
        return standing;
    }
    let pod = standing.runner.as_ref().and_then(|runner| desk.observed.pods.get(runner));
    if suspended {
        if let Some(pod) = pod {
            delete_pod(desk, pod, plan);
        }
        standing.stand = Stand::Suspended;
        return standing;
    }
    match pod {
        None => begin(desk, &mut standing, memory, plan),
        Some(pod) => attempt::follow(desk, pod, &mut standing, memory, plan),
    }
    over_time(desk, pod, &mut standing, plan);
    standing
}

/// The name of the job's cluster, if it is known.
fn cluster_name(desk: &Desk<'_>) -> Option<String> {
    if desk.spec.cluster.is_some() {
        return Some(desk.job.meta.name.clone());
    }
    if let Some(name) = &desk.spec.cluster_name {
        return Some(name.clone());
    }
    if let Some(name) = &desk.job.status.cluster_name {
        return Some(name.clone());
    }
    let Some(wanted) = &desk.spec.cluster_selector else {
        // A workload without a word about its cluster goes to the only one there is.
        let only = desk.observed.selectable.first().map(|cluster| cluster.meta.name.clone());
        return only.filter(|_| desk.observed.selectable.len() == 1);
    };
    let fits = |cluster: &&Arc<ClusterObject>| {
        !cluster.meta.deleting
            && wanted.iter().all(|(name, value)| cluster.meta.label(name) == Some(value.as_str()))
    };
    let ready = |cluster: &&Arc<ClusterObject>| {
        (cluster.status.phase.as_deref() != Some("Running"), cluster.meta.name.clone())
    };
    let chosen = desk.observed.selectable.iter().filter(fits).min_by_key(ready);
    chosen.map(|cluster| cluster.meta.name.clone())
}

/// Makes the job's own cluster; gives words where it cannot be had.
fn own_cluster(desk: &Desk<'_>, suspended: bool, plan: &mut Plan) -> Option<String> {
    let name = &desk.observed.key.name;
    let missing =
        || format!("there is no DaskCluster {name}: create it, or correct spec.clusterName");
    let Some(template) = &desk.spec.cluster else {
        return desk.observed.cluster.is_none().then(missing);
    };
    let meta = &desk.job.meta;
    let Some(present) = &desk.observed.cluster else {
        if !suspended {
            let body = cluster_body(desk, template);
            let target = Target::new(Kind::Cluster, name);
            plan.write(Stage::Parts, target, Action::Create { kind: Kind::Cluster, body });
        }
        return None;
    };
    if !present.meta.is_owned_by(&meta.uid) {
        return Some(format!(
            "DaskCluster {name} exists and is not this job's: delete it, or rename the job"
        ));
    }
    let wanted = suspended.then_some(true).or(template.spec.suspend);
    let is = present.spec.as_ref().ok().and_then(|spec| spec.suspend);
    if is != wanted && !present.meta.deleting {
        let patch = json!({"metadata": {"uid": present.meta.uid}, "spec": {"suspend": wanted}});
        plan.write(
            Stage::Parts,
            Target::new(Kind::Cluster, name),
            Action::Patch {
                kind: Kind::Cluster,
                name: name.clone(),
                patch,
                manager: "dasklet-job",
                status: false,
            },
        );
    }
    None
}

fn cluster_body(desk: &Desk<'_>, template: &dasklet_api::ClusterTemplate) -> Value {
    let parent = Parent { kind: "DaskJob", meta: &desk.job.meta };
    let part = template.metadata.as_ref().map(|metadata| dasklet_api::PartMetadata {
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
    });
    let name = &desk.job.meta.name;
    let base = [(names::CLUSTER_NAME, name.as_str())];
    json!({
        "apiVersion": format!("{}/{}", dasklet_api::GROUP, dasklet_api::VERSION),
        "kind": "DaskCluster",
        "metadata": template::propagated(&parent, part.as_ref(), name, &base),
        "spec": template.spec,
    })
}

/// Creates the runner once the scheduler takes work.
fn begin(desk: &Desk<'_>, standing: &mut Standing, memory: &mut Memory, plan: &mut Plan) {
    if let Some(words) = attempt::waits(desk, standing.attempt, memory, plan) {
        standing.stand = Stand::Again(words);
        return;
    }
    let Some(scheduler) = scheduler_pod(desk.observed).filter(|pod| pod.is_ready()) else {
        standing.stand = Stand::Waiting;
        return;
    };
    standing.stand = Stand::Starting(format!("scheduler pod {} serves", scheduler.meta.name));
    let from = Runner {
        job: &desk.job.meta,
        spec: desk.spec,
        cluster: &desk.observed.key.name,
        scheduler_address: desk.address,
        scheduler_life: &attempt::life(scheduler),
        place: &desk.settings.place,
    };
    let mut body = template::runner(&from, standing.attempt);
    if let Some(deadline) = deadline(desk) {
        let left = (deadline.saturating_sub(desk.now) / 1_000_000).max(1);
        let spec = &mut body["spec"];
        if spec.get("activeDeadlineSeconds").is_none_or(Value::is_null) {
            spec["activeDeadlineSeconds"] = json!(left);
        }
    }
    let target = Target::new(Kind::Job, &desk.job.meta.name);
    plan.write(Stage::Pods, target, Action::Create { kind: Kind::Pod, body });
}

pub(super) fn delete_pod(desk: &Desk<'_>, pod: &Pod, plan: &mut Plan) {
    if pod.meta.deleting || !pod.meta.is_owned_by(&desk.job.meta.uid) {
        return;
    }
    plan.write(
        Stage::Pods,
        Target::new(Kind::Job, &desk.job.meta.name),
        Action::Delete {
            kind: Kind::Pod,
            name: pod.meta.name.clone(),
            uid: pod.meta.uid.clone(),
            at_once: pod.is_finished(),
            version: None,
        },
    );
}

fn deadline(desk: &Desk<'_>) -> Option<u64> {
    let seconds = desk.spec.active_deadline_seconds?;
    let (status, created) = (&desk.job.status, desk.job.meta.created_micros);
    let started = status.start_time.as_deref().and_then(parse_time);
    // The time that a job was suspended does not count.
    let rest = status.conditions.iter().find(|found| found.kind == SUSPENDED);
    let awake = rest.and_then(|found| match found.status.as_str() {
        "False" => parse_time(found.last_transition_time.as_deref()?),
        _ => Some(desk.now),
    });
    let begun = started.unwrap_or_else(|| awake.map_or(created, |awake| awake.max(created)));
    Some(begun + seconds * 1_000_000)
}

fn over_time(desk: &Desk<'_>, pod: Option<&Arc<Pod>>, standing: &mut Standing, plan: &mut Plan) {
    let Some(deadline) = deadline(desk) else { return };
    if matches!(standing.stand, Stand::Succeeded | Stand::Failed(_) | Stand::OverTime) {
        return;
    }
    let runs = pod.is_some_and(|pod| pod.phase == PodPhase::Running);
    let due = if runs { deadline + KUBELET_PATIENCE_MICROS } else { deadline };
    if desk.now < due {
        plan.again_after(due - desk.now);
        return;
    }
    if let Some(pod) = pod {
        delete_pod(desk, pod, plan);
    }
    plan.writes.retain(|write| {
        let creates = matches!(&write.action, Action::Create { kind: Kind::Pod, .. });
        !(creates && write.target == Target::new(Kind::Job, &desk.job.meta.name))
    });
    standing.stand = Stand::OverTime;
}

/// After the final status: the cluster goes as the policy says, the job after its time.
fn clean_up(desk: &Desk<'_>, plan: &mut Plan) {
    let successful = desk.job.status.job_status.as_deref() == Some("Successful");
    let shut_down = match desk.spec.shutdown_policy.unwrap_or(ShutdownPolicy::OnFinish) {
        ShutdownPolicy::OnFinish => true,
        ShutdownPolicy::OnSuccess => successful,
        ShutdownPolicy::Never => false,
    };
    if let Some(cluster) = &desk.observed.cluster
        && shut_down
        && desk.spec.cluster.is_some()
        && cluster.meta.is_owned_by(&desk.job.meta.uid)
        && !cluster.meta.deleting
    {
        delete(Kind::Cluster, &cluster.meta, plan);
    }
    let ended = desk.job.status.end_time.as_deref().and_then(parse_time);
    if let (Some(ttl), Some(ended)) = (desk.spec.ttl_seconds_after_finished, ended) {
        let due = ended + ttl * 1_000_000;
        if desk.now >= due {
            delete(Kind::Job, &desk.job.meta, plan);
        } else {
            plan.again_after(due - desk.now);
        }
    }
}

fn delete(kind: Kind, meta: &crate::observe::Meta, plan: &mut Plan) {
    plan.write(
        Stage::Last,
        Target::new(kind, &meta.name),
        Action::Delete {
            kind,
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            at_once: false,
            version: None,
        },
    );
}

/// The times of a status that follow from how a job stands.
pub(super) fn times(
    stand: &Stand,
    old: &DaskJobStatus,
    now: u64,
) -> (Option<String>, Option<String>) {
    let started = || old.start_time.clone().or_else(|| Some(rfc3339(now)));
    match stand {
        Stand::Running(_) => (started(), None),
        // A run that was too short to be seen running has started all the same.
        Stand::Succeeded => (started(), Some(rfc3339(now))),
        Stand::Failed(_) | Stand::OverTime => (old.start_time.clone(), Some(rfc3339(now))),
        Stand::Suspended => (None, None),
        _ => (old.start_time.clone(), None),
    }
}
