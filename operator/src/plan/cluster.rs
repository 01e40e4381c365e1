//! The plan of one cluster with all that belongs to it. Start here.

use std::collections::BTreeMap;

use super::{
    group_status, hibernation, job,
    memory::Memory,
    parts,
    reachable::{self, Scene},
    settings::Settings,
    status::{self, Verdict},
    takeover::{Hold, take_over},
    workers::{GroupState, plan_workers},
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::observe::{ClusterObject, Observed, Sight};

/// Plans a cluster. `now_micros` counts from 1970.
#[must_use]
pub fn plan(
    settings: &Settings,
    observed: &Observed,
    sight: &Sight,
    memory: &mut Memory,
    now_micros: u64,
) -> Plan {
    let mut plan = Plan::default();
    let hold = take_over(observed, memory, now_micros, &mut plan);
    let address = reachable::address(observed);
    match &observed.cluster {
        Some(cluster) if !cluster.meta.deleting => {
            let mut scene = Scene {
                settings,
                observed,
                cluster,
                sight,
                now_micros,
                suspended: false,
                minimum: false,
                address: &address,
            };
            match (hold, verdict(cluster)) {
                (Some(hold), _) => status::held(&scene, hold, memory, &mut plan),
                (None, verdict) => plan_cluster(&mut scene, verdict, memory, &mut plan),
            }
        }
        Some(_) => {}
        None => group_status::orphans(observed, memory, now_micros, &mut plan),
    }
    if hold != Some(Hold::OtherOperator) {
        job::plan_jobs(settings, observed, &address, memory, now_micros, &mut plan);
    }
    for note in &memory.untold {
        if plan.writes.iter().all(|write| write.target.name != note.name) {
            plan.event(note.clone());
        }
    }
    delay_failed(memory, now_micros, &mut plan);
    plan
}

fn plan_cluster(scene: &mut Scene<'_>, verdict: Verdict, memory: &mut Memory, plan: &mut Plan) {
    let rest = hibernation::rest(scene.cluster, scene.observed);
    scene.suspended = rest != hibernation::Rest::Awake;
    scene.minimum = hibernation::at_minimum(scene);
    if let (Verdict::Good, Ok(spec)) = (&verdict, &scene.cluster.spec) {
        parts::plan_parts(scene, spec, rest, memory, plan);
    }
    let states = plan_workers(scene, memory, plan);
    remove_groups(scene, &states, plan);
    plan.link = reachable::link(scene, states.iter());
    hibernation::idle_or_wake(scene, rest, plan);
    forget_healed(memory, plan);
    for (name, state) in &states {
        if let Some(group) = scene.observed.groups.get(name) {
            group_status::tell(scene, group, state, memory, plan);
        }
    }
    group_status::tell_autoscalers(scene, &states, memory, plan);
    status::tell(scene, &verdict, rest, &states, memory, plan);
}

/// Whether a cluster's spec can be acted upon.
fn verdict(cluster: &ClusterObject) -> Verdict {
    cluster.fault().map_or(Verdict::Good, Verdict::Bad)
}

/// Groups that left the cluster's spec go once their workers are drained.
fn remove_groups(scene: &Scene<'_>, states: &BTreeMap<String, GroupState>, plan: &mut Plan) {
    for (name, state) in states {
        let Some(group) = scene.observed.groups.get(name) else { continue };
        // Deleting a group ends all its pods, also one that no watch has told of yet.
        let empty = state.present == 0 && state.draining == 0 && !scene.has_members(name);
        if scene.is_going(group) && empty {
            plan.write(
                Stage::Last,
                Target::new(Kind::Group, name),
                Action::Delete {
                    kind: Kind::Group,
                    name: name.clone(),
                    uid: group.meta.uid.clone(),
                    at_once: false,
                    version: None,
                },
            );
        }
    }
}

/// A write that failed and is not wanted any more, because it took effect unheard or somebody
/// else has done it, is no failure.
fn forget_healed(memory: &mut Memory, plan: &Plan) {
    memory.failures.retain(|target, _| {
        let part = matches!(
            target.kind,
            Kind::Deployment | Kind::Service | Kind::Group | Kind::Pod | Kind::Template
        );
        let noted = target.name.ends_with(')') && target.kind == Kind::Group;
        !part || noted || plan.writes.iter().any(|write| write.target == *target)
    });
}

/// What failed a moment ago waits; everything else goes on.
fn delay_failed(memory: &Memory, now_micros: u64, plan: &mut Plan) {
    let mut earliest: Option<u64> = None;
    plan.writes.retain(|write| match memory.failures.get(&write.target) {
        Some(failure) if failure.until > now_micros => {
            let wait = failure.until - now_micros;
            earliest = Some(earliest.map_or(wait, |earliest| earliest.min(wait)));
            false
        }
        _ => true,
    });
    if let Some(wait) = earliest {
        plan.again_after(wait);
    }
}
