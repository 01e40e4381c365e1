//! Clusters at rest: suspended by their users, or hibernating because they were idle.

use std::sync::Arc;

use dasklet_api::{IdleAction, names as api_names};
use serde_json::json;

use super::{
    reachable::Scene,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names::{self, HIBERNATED, WAKE},
    observe::{ClusterObject, Deployment, Observed},
};

/// Why a cluster has no pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It works.
    Awake,
    /// Its user wants it so.
    Suspended,
    /// It was idle.
    Hibernating,
}

/// Whether a cluster rests. That it hibernates is written on its scheduler's deployment, with the
/// value that the wake annotation had: another value wakes it, and so does a job.
pub fn rest(cluster: &ClusterObject, observed: &Observed) -> Rest {
    let suspended = match &cluster.spec {
        Ok(spec) => spec.suspend == Some(true),
        // What cannot be read changes nothing.
        Err(_) => scheduler(observed).is_some_and(|deployment| deployment.replicas == 0),
    };
    if suspended {
        return Rest::Suspended;
    }
    let wake = cluster.meta.annotation(WAKE).unwrap_or_default();
    let hibernated = hibernated_at(observed).is_some_and(|value| value == wake);
    if hibernated && !has_jobs(observed) { Rest::Hibernating } else { Rest::Awake }
}

fn scheduler(observed: &Observed) -> Option<&Arc<Deployment>> {
    observed.deployments.get(&names::scheduler(&observed.key.name))
}

fn hibernated_at(observed: &Observed) -> Option<&str> {
    scheduler(observed)?.meta.annotation(HIBERNATED)
}

fn has_jobs(observed: &Observed) -> bool {
    observed.jobs.values().any(|job| {
        let suspended = job.spec.as_ref().is_ok_and(|spec| spec.suspend == Some(true));
        !job.meta.deleting && !suspended && !super::job::is_finished(job)
    })
}

/// How long the cluster has been idle, in microseconds; `None` while it works or nobody knows.
fn idle_for(scene: &Scene<'_>) -> Option<u64> {
    let seconds = scene.sight.demand.as_ref()?.idle_seconds?;
    let since = scene.now_micros.saturating_sub(scene.sight.at_micros);
    Some((seconds * 1e6) as u64 + since)
}

/// True where the groups are to be at their minimum because the cluster is idle.
pub fn at_minimum(scene: &Scene<'_>) -> bool {
    let Ok(spec) = &scene.cluster.spec else { return false };
    let limit = spec.idle_timeout.unwrap_or(0) * 1_000_000;
    spec.idle_action == Some(IdleAction::ScaleToMinimum)
        && limit > 0
        && !has_jobs(scene.observed)
        && idle_for(scene).is_some_and(|idle| idle >= limit)
}

/// Carries out the idle action, and forgets a hibernation that has ended.
pub fn idle_or_wake(scene: &Scene<'_>, rest: Rest, plan: &mut Plan) {
    let name = names::scheduler(&scene.cluster.meta.name);
    if rest == Rest::Awake && hibernated_at(scene.observed).is_some() {
        mark(scene, &name, json!(null), plan);
    }
    let Ok(spec) = &scene.cluster.spec else { return };
    let limit = spec.idle_timeout.unwrap_or(0) * 1_000_000;
    if rest != Rest::Awake || limit == 0 || has_jobs(scene.observed) {
        return;
    }
    let Some(idle) = idle_for(scene) else { return };
    if idle < limit {
        plan.again_after(limit - idle);
        return;
    }
    match spec.idle_action.unwrap_or(IdleAction::Delete) {
        IdleAction::Delete => plan.write(
            Stage::Last,
            Target::new(Kind::Cluster, &scene.cluster.meta.name),
            Action::Delete {
                kind: Kind::Cluster,
                name: scene.cluster.meta.name.clone(),
                uid: scene.cluster.meta.uid.clone(),
                at_once: false,
                version: None,
            },
        ),
        IdleAction::ScaleToMinimum => {}
        IdleAction::Hibernate => {
            let wake = scene.cluster.meta.annotation(api_names::WAKE_ANNOTATION);
            mark(scene, &name, json!(wake.unwrap_or_default()), plan);
        }
    }
}

fn mark(scene: &Scene<'_>, deployment: &str, value: serde_json::Value, plan: &mut Plan) {
    let Some(present) = scene.observed.deployments.get(deployment) else { return };
    let patch = json!({"metadata": {"uid": present.meta.uid, "annotations": {HIBERNATED: value}}});
    plan.write(
        Stage::Parts,
        Target::new(Kind::Deployment, deployment),
        Action::Patch {
            kind: Kind::Deployment,
            name: deployment.to_owned(),
            patch,
            manager: "dasklet-rest",
            status: false,
        },
    );
}
