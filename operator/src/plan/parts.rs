//! The parts of a cluster: its scheduler's deployment and service, and its worker groups.

use dasklet_api::{DaskClusterSpec, WorkerSpec};
use dasklet_elastic::GroupPolicy;
use serde_json::{Value, json};

use super::{
    hibernation::Rest,
    memory::Memory,
    reachable::Scene,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names::{self, TEMPLATE, component},
    observe::{GroupObject, Meta},
    template::{self, Parent, Scheduler},
};

/// Plans the parts. Pods are not among them.
pub fn plan_parts(
    scene: &Scene<'_>,
    spec: &DaskClusterSpec,
    rest: Rest,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    plan_deployment(scene, spec, rest, plan);
    plan_service(scene, spec, plan);
    let cluster = &scene.cluster.meta.name;
    plan_group(scene, &names::default_group(cluster), &spec.worker, memory, plan);
    for entry in spec.worker_groups.iter().flatten() {
        plan_group(scene, &names::group(cluster, &entry.name), &entry.worker(), memory, plan);
    }
    for group in scene.observed.groups.values() {
        if !group.meta.is_ours() && group.meta.name != names::default_group(cluster) {
            adopt(scene, Kind::Group, &group.meta, plan);
        }
    }
    for autoscaler in scene.observed.autoscalers.values() {
        adopt(scene, Kind::Autoscaler, &autoscaler.meta, plan);
    }
}

/// Whether all parts exist.
pub fn all_exist(scene: &Scene<'_>) -> bool {
    let cluster = &scene.cluster.meta.name;
    let scheduler = names::scheduler(cluster);
    let further = scene.cluster.spec.as_ref().ok().and_then(|spec| spec.worker_groups.as_ref());
    let mut further = further.into_iter().flatten().map(|entry| names::group(cluster, &entry.name));
    scene.observed.deployments.contains_key(&scheduler)
        && scene.observed.services.contains_key(&scheduler)
        && scene.observed.groups.contains_key(&names::default_group(cluster))
        && further.all(|group| scene.observed.groups.contains_key(&group))
}

fn plan_deployment(scene: &Scene<'_>, spec: &DaskClusterSpec, rest: Rest, plan: &mut Plan) {
    let from = Scheduler {
        cluster: &scene.cluster.meta,
        spec: spec.scheduler.as_ref(),
        place: &scene.settings.place,
    };
    let name = names::scheduler(&scene.cluster.meta.name);
    let target = Target::new(Kind::Deployment, &name);
    let mark = from.fingerprint();
    let workers_left = scene.observed.pods_of(component::WORKER).next().is_some()
        || scene.observed.groups.keys().any(|group| scene.has_members(group));
    let replicas = u32::from(rest == Rest::Awake || workers_left);
    let apply = |selector| {
        let body = template::deployment(&from, replicas, selector, &[(TEMPLATE, &mark)]);
        Action::Apply { kind: Kind::Deployment, name: name.clone(), body }
    };
    let Some(present) = scene.observed.deployments.get(&name) else {
        // A cluster at rest from the beginning has its parts too, without a pod.
        plan.write(Stage::Parts, target, apply(None));
        return;
    };
    if present.meta.deleting {
        return;
    }
    match present.meta.annotation(TEMPLATE) {
        Some(old) if old != mark => {
            let selector = (!present.selector.is_empty()).then_some(&present.selector);
            plan.write(Stage::Parts, target, apply(selector));
        }
        known => {
            let mut patch = json!({});
            if known.is_none() {
                // dask-kubernetes made it: its pod runs on until the spec changes.
                patch["metadata"] = adoption(scene, &present.meta, &mark);
            }
            if present.replicas != replicas {
                patch["spec"]["replicas"] = json!(replicas);
            }
            patch_part(Kind::Deployment, &name, &present.meta.uid, patch, plan);
        }
    }
}

fn plan_service(scene: &Scene<'_>, spec: &DaskClusterSpec, plan: &mut Plan) {
    let (body, mark) = template::service(&scene.cluster.meta, spec.scheduler.as_ref());
    let name = names::scheduler(&scene.cluster.meta.name);
    match scene.observed.services.get(&name) {
        Some(present) if present.meta.deleting => {}
        Some(present) if present.meta.annotation(TEMPLATE).is_none() => {
            let patch = json!({"metadata": adoption(scene, &present.meta, &mark)});
            patch_part(Kind::Service, &name, &present.meta.uid, patch, plan);
        }
        Some(present) if present.meta.annotation(TEMPLATE) == Some(mark.as_str()) => {}
        _ => plan.write(
            Stage::Parts,
            Target::new(Kind::Service, &name),
            Action::Apply { kind: Kind::Service, name, body },
        ),
    }
}

fn adoption(scene: &Scene<'_>, meta: &Meta, mark: &str) -> Value {
    let mut patch = json!({"annotations": {TEMPLATE: mark}});
    if !meta.is_owned_by(&scene.cluster.meta.uid) {
        let owner = Parent { kind: "DaskCluster", meta: &scene.cluster.meta };
        patch["ownerReferences"] = json!([owner.reference()]);
    }
    patch
}

fn patch_part(kind: Kind, name: &str, uid: &str, mut patch: Value, plan: &mut Plan) {
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    patch["metadata"]["uid"] = json!(uid);
    plan.write(
        Stage::Parts,
        Target::new(kind, name),
        Action::Patch {
            kind,
            name: name.to_owned(),
            patch,
            manager: "dasklet-scheduler",
            status: false,
        },
    );
}

fn plan_group(
    scene: &Scene<'_>,
    name: &str,
    worker: &WorkerSpec,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let policy = GroupPolicy {
        replicas: worker.replicas,
        autoscale: worker.autoscale.as_ref().map(|autoscale| autoscale.policy()),
        ..GroupPolicy::default()
    };
    let replicas = policy.initial_size();
    let target = Target::new(Kind::Group, name);
    let Some(present) = scene.observed.groups.get(name) else {
        let body = template::group(&scene.cluster.meta, name, worker, replicas);
        plan.write(Stage::Parts, target, Action::Create { kind: Kind::Group, body });
        return;
    };
    let patch = template::group_patch(&scene.cluster.meta, present, worker, replicas);
    let (Some(mut patch), false) = (patch, present.meta.deleting) else { return };
    if !is_taken(scene, present, worker, memory, plan) {
        return;
    }
    patch["metadata"]["uid"] = json!(present.meta.uid);
    patch["metadata"]["resourceVersion"] = json!(present.meta.resource_version.to_string());
    plan.write(
        Stage::Parts,
        target,
        Action::Patch {
            kind: Kind::Group,
            name: name.to_owned(),
            patch,
            manager: "dasklet-cluster",
            status: false,
        },
    );
}

/// Name under which a changed template of a group is tried before the group gets it: until the
/// API server takes it, the group keeps its last good one.
pub fn candidate(group: &str) -> String {
    format!("{group} (changed)")
}

fn is_taken(
    scene: &Scene<'_>,
    present: &GroupObject,
    worker: &WorkerSpec,
    memory: &mut Memory,
    plan: &mut Plan,
) -> bool {
    let from = |spec| template::Worker {
        cluster: &scene.observed.key.name,
        group: &present.meta,
        spec,
        scheduler_address: scene.address,
        place: &scene.settings.place,
    };
    let changed = from(worker);
    let mark = changed.fingerprint();
    let old = present.spec.as_ref().ok().map(|spec| from(&spec.worker).fingerprint());
    let key = candidate(&present.meta.name);
    let target = Target::new(Kind::Template, &key);
    if memory.failures.get(&target).is_some_and(|f| f.fingerprint.as_ref() != Some(&mark)) {
        memory.failures.remove(&target);
    }
    if old.as_ref() == Some(&mark) {
        memory.failures.remove(&target);
        return true;
    }
    if memory.verified.get(&key) == Some(&mark) {
        return true;
    }
    let body = template::worker(&changed, &mark, u32::MAX);
    plan.write(Stage::Parts, target, Action::DryRun { body, fingerprint: mark });
    false
}

/// What a user added to the cluster becomes the cluster's, and goes with it; its labels stay as
/// they are.
fn adopt(scene: &Scene<'_>, kind: Kind, meta: &Meta, plan: &mut Plan) {
    let cluster = &scene.cluster.meta;
    if meta.is_owned_by(&cluster.uid) || meta.deleting {
        return;
    }
    let owner = Parent { kind: "DaskCluster", meta: cluster };
    let patch = json!({"metadata": {
        "uid": meta.uid,
        "resourceVersion": meta.resource_version.to_string(),
        "ownerReferences": [owner.reference()],
    }});
    plan.write(
        Stage::Parts,
        Target::new(kind, &meta.name),
        Action::Patch {
            kind,
            name: meta.name.clone(),
            patch,
            manager: "dasklet-cluster",
            status: false,
        },
    );
}
