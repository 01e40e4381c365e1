//! What the statuses of worker groups and autoscalers say.

use std::collections::BTreeMap;

use dasklet_api::{
    DaskAutoscalerStatus, DaskWorkerGroupStatus, LastDecision,
    conditions::{
        ACCEPTED, ACTIVE, OVERRIDDEN, PROGRESSING, READY, TEMPLATES_VALID, WORKERS_READY, reason,
    },
};
use dasklet_elastic::Mode;
use serde_json::json;

use super::{
    clock::rfc3339,
    condition::Conditions,
    event::EventNote,
    memory::{Failure, Memory},
    parts::candidate,
    policy::autoscaler,
    reachable::Scene,
    status::{Told, outdated, write_status},
    workers::GroupState,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names,
    observe::{GroupObject, Observed},
};

/// Tells a group's status, and its decision.
pub fn tell(
    scene: &Scene<'_>,
    group: &GroupObject,
    state: &GroupState,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let (meta, old) = (&group.meta, &group.status);
    let decided = &state.plan;
    let mut conditions = Conditions::new(&old.conditions, meta.generation, scene.now_micros);
    accepted(group, &mut conditions);
    let name = &meta.name;
    match refusal(name, memory) {
        Some(failure) if failure.reason == "Invalid" => {
            let words = format!("{}. Workers that run stay as they are", failure.message);
            conditions.set(TEMPLATES_VALID, false, reason::TEMPLATE_REFUSED, words);
        }
        _ => conditions.set(TEMPLATES_VALID, true, reason::VALID, "the API server takes the pods"),
    }
    let count = format!("{} of {} workers serve", state.serving, decided.desired);
    match lack(name, state, memory) {
        None => conditions.set(WORKERS_READY, true, reason::ENOUGH, count),
        Some((word, words)) => conditions.set(WORKERS_READY, false, word, count + &words),
    }
    match (state.starting, state.draining, state.outdated) {
        (0, 0, 0) => conditions.set(PROGRESSING, false, reason::ENOUGH, "nothing is on its way"),
        (0, 0, _) => conditions.set(PROGRESSING, true, "TemplateChanged", "workers are replaced"),
        (0, _, _) => conditions.set(PROGRESSING, true, reason::DRAINING, "workers drain or end"),
        _ => conditions.set(PROGRESSING, true, reason::SCALING_UP, "workers start"),
    }
    overridden(scene, group, &mut conditions);
    ready(&mut conditions);
    let desired = decided.desired;
    let mut scaled = None;
    let last_decision = match &old.last_decision {
        Some(last) if last.desired == desired => Some(last.clone()),
        before => {
            if let Some(before) = before {
                let message =
                    format!("from {} to {desired} workers: {}", before.desired, decided.reason);
                let about = (Kind::Group, meta.name.as_str(), meta.uid.as_str());
                let once = format!("{}>{desired} {}", before.desired, before.time);
                scaled = Some(EventNote::new(about, false, "Scaled", &message, &once));
            }
            let time = rfc3339(scene.now_micros);
            Some(LastDecision { time, desired, reason: decided.reason.clone() })
        }
    };
    let about = (Kind::Group, meta.name.as_str(), meta.uid.as_str());
    let (conditions, mut notes) = conditions.tell(about, &[PROGRESSING, READY]);
    notes.extend(scaled);
    let new = DaskWorkerGroupStatus {
        replicas: state.present,
        ready_replicas: state.serving,
        starting_replicas: state.starting,
        draining_replicas: state.draining,
        desired_replicas: desired,
        selector: Some(names::worker_selector(&scene.observed.key.name, name)),
        observed_generation: Some(meta.generation),
        conditions,
        last_decision,
    };
    let decision = old.desired_replicas != new.desired_replicas;
    let urgent = decision || outdated(old.observed_generation, meta);
    let told = Told { kind: Kind::Group, meta, urgent, notes };
    let pause = scene.settings.status_pause_micros;
    write_status(&told, old, &new, scene.now_micros, pause, memory, plan);
    hand_down(group, state, plan);
}

/// Why the API server does not take the group's pods.
fn refusal<'m>(group: &str, memory: &'m Memory) -> Option<&'m Failure> {
    [
        Target::new(Kind::Pod, group),
        Target::new(Kind::Template, group),
        Target::new(Kind::Template, &candidate(group)),
    ]
    .into_iter()
    .find_map(|target| memory.failures.get(&target))
}

/// Why fewer workers of a group serve than are wanted: one word, and what to add to their count.
pub fn lack(group: &str, state: &GroupState, memory: &Memory) -> Option<(&'static str, String)> {
    if state.serving >= state.plan.desired {
        return None;
    }
    Some(if let Some(failure) = refusal(group, memory) {
        (failure.reason, format!(": {}", failure.message))
    } else if let Some(found) = state.troubles.first() {
        (found.reason, format!(": {}", found.message))
    } else if state.plan.withheld > 0 {
        ("StartsFailed", format!(": {}", state.plan.reason))
    } else {
        (reason::STARTING, String::new())
    })
}

/// Dask's tools read the size where they used to write it: a group that the operator made carries
/// the decision there too.
fn hand_down(group: &GroupObject, state: &GroupState, plan: &mut Plan) {
    let automatic = state.policy.autoscale.as_ref().is_some_and(|a| a.mode == Mode::Auto);
    let Ok(spec) = &group.spec else { return };
    let desired = state.plan.desired;
    if !automatic
        || !group.meta.is_ours()
        || state.policy.suspended
        || spec.worker.replicas == Some(desired)
    {
        return;
    }
    plan.write(
        Stage::Status,
        Target::new(Kind::Group, &format!("{} (size)", group.meta.name)),
        Action::Patch {
            kind: Kind::Group,
            name: group.meta.name.clone(),
            patch: json!({
                "metadata": {"uid": group.meta.uid},
                "spec": {"worker": {"replicas": desired}},
            }),
            manager: "dasklet-autoscale",
            status: false,
        },
    );
}

fn accepted(group: &GroupObject, conditions: &mut Conditions<'_>) {
    match group.fault() {
        Some(words) => conditions.set(
            ACCEPTED,
            false,
            reason::INVALID,
            format!("{words}. Correct it; the workers that run stay"),
        ),
        None => conditions.set(ACCEPTED, true, reason::VALID, "the spec is valid"),
    }
}

fn overridden(scene: &Scene<'_>, group: &GroupObject, conditions: &mut Conditions<'_>) {
    let own = group.spec.as_ref().is_ok_and(|spec| spec.worker.autoscale.is_some());
    let Some(other) = autoscaler(scene.observed, &group.meta.name).filter(|_| own) else { return };
    let words = format!(
        "DaskAutoscaler {} decides, not spec.worker.autoscale: remove one of the two",
        other.meta.name
    );
    conditions.set(OVERRIDDEN, true, "DaskAutoscaler", words);
}

fn ready(conditions: &mut Conditions<'_>) {
    let bad = [ACCEPTED, TEMPLATES_VALID, WORKERS_READY]
        .iter()
        .filter_map(|kind| conditions.get(kind))
        .find(|condition| condition.status != "True")
        .map(|condition| (condition.reason.clone(), condition.message.clone()));
    match bad {
        Some((word, message)) => conditions.set(READY, false, &word, message),
        None => conditions.set(READY, true, reason::SERVING, "as many workers serve as are wanted"),
    }
}

/// Groups whose cluster does not exist.
pub fn orphans(observed: &Observed, memory: &mut Memory, now_micros: u64, plan: &mut Plan) {
    for group in observed.groups.values().filter(|group| !group.meta.deleting) {
        let (meta, old) = (&group.meta, &group.status);
        let mut conditions = Conditions::new(&old.conditions, meta.generation, now_micros);
        accepted(group, &mut conditions);
        let words = format!(
            "there is no DaskCluster {} in namespace {}: create it, or correct spec.cluster",
            observed.key.name, observed.key.namespace
        );
        conditions.set(READY, false, reason::NOT_FOUND, words);
        let about = (Kind::Group, meta.name.as_str(), meta.uid.as_str());
        let (conditions, notes) = conditions.tell(about, &[]);
        let new = DaskWorkerGroupStatus {
            observed_generation: Some(meta.generation),
            conditions,
            ..old.clone()
        };
        let told = Told { kind: Kind::Group, meta, urgent: true, notes };
        write_status(&told, old, &new, now_micros, 0, memory, plan);
    }
}

/// Tells the statuses of the cluster's autoscalers.
pub fn tell_autoscalers(
    scene: &Scene<'_>,
    states: &BTreeMap<String, GroupState>,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    for scaler in scene.observed.autoscalers.values().filter(|scaler| !scaler.meta.deleting) {
        let (meta, old) = (&scaler.meta, &scaler.status);
        let mut conditions = Conditions::new(&old.conditions, meta.generation, scene.now_micros);
        let follows = states.iter().find(|(name, _)| {
            autoscaler(scene.observed, name).is_some_and(|first| first.meta.name == meta.name)
        });
        match (scaler.fault(), follows) {
            (Some(words), _) => {
                conditions.set(ACCEPTED, false, reason::INVALID, words.clone());
                conditions.set(ACTIVE, false, reason::INVALID, words);
            }
            (None, Some((group, state))) => {
                conditions.set(ACCEPTED, true, reason::VALID, "the spec is valid");
                let mode = state.policy.autoscale.as_ref().map_or(Mode::Auto, |a| a.mode);
                let words = format!("group {group} follows it");
                match (mode, &scene.sight.demand) {
                    (Mode::Paused, _) => conditions.set(ACTIVE, false, "Paused", "mode is Paused"),
                    (_, None) => conditions.set(
                        ACTIVE,
                        false,
                        "DemandUnknown",
                        "the scheduler does not tell its demand: the size is held",
                    ),
                    (Mode::Advise, _) => {
                        let advised = state.plan.advised.unwrap_or(state.plan.desired);
                        let words = format!("it would have {advised} workers");
                        conditions.set(ACTIVE, true, "Advising", words);
                    }
                    (Mode::Auto, _) => conditions.set(ACTIVE, true, "Scaling", words),
                }
            }
            (None, None) => {
                conditions.set(ACCEPTED, true, reason::VALID, "the spec is valid");
                conditions.set(
                    ACTIVE,
                    false,
                    reason::NOT_FOUND,
                    "no worker group follows it: correct spec.workerGroup, or remove another \
                     autoscaler of the same group",
                );
            }
        }
        let about = (Kind::Autoscaler, meta.name.as_str(), meta.uid.as_str());
        let (conditions, notes) = conditions.tell(about, &[]);
        let new = DaskAutoscalerStatus { observed_generation: Some(meta.generation), conditions };
        let urgent = outdated(old.observed_generation, meta);
        let told = Told { kind: Kind::Autoscaler, meta, urgent, notes };
        let pause = scene.settings.status_pause_micros;
        write_status(&told, old, &new, scene.now_micros, pause, memory, plan);
    }
}
