//! Workers of an older template: replaced a few at a time, drained first.

use dasklet_elastic::{GroupPlan, Phase};

use super::{
    carry::{Carrier, Worker},
    intent::{DrainReason, Intent},
    memory::Memory,
    reachable::Scene,
    workers::{GroupState, delete, drain},
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{names, observe::GroupObject, template};

/// Replaces workers of an older template once the API server takes the new one, and tries the
/// template where no worker is about to show whether it is good.
#[allow(clippy::too_many_arguments)]
pub fn renew<'a>(
    scene: &Scene<'_>,
    group: &GroupObject,
    from: &template::Worker<'_>,
    state: &mut GroupState,
    workers: impl Iterator<Item = (Worker<'a>, Phase)>,
    decided: &GroupPlan,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let name = &group.meta.name;
    let mut fresh = false;
    let mut going = 0u32;
    let mut old: Vec<(Worker<'a>, Phase)> = Vec::new();
    for (worker, phase) in workers {
        // Deployments of dask-kubernetes stay as they are until they are scaled away.
        let Carrier::Pod(pod) = worker.carrier else { continue };
        let intent = Intent::of(&pod.meta, scene.now_micros);
        if pod.meta.annotation(names::TEMPLATE) == Some(state.fingerprint.as_str()) {
            fresh = true;
        } else if worker.is_leaving() || intent.is_some_and(|i| i.reason == DrainReason::Template) {
            going += 1;
        } else if intent.is_none() {
            old.push((worker, phase));
        }
    }
    state.outdated = u32::try_from(old.len()).unwrap_or(u32::MAX) + going;
    if fresh {
        memory.verified.insert(name.clone(), state.fingerprint.clone());
    }
    let verified = memory.verified.get(name) == Some(&state.fingerprint);
    if !verified && decided.create == 0 && !state.policy.suspended {
        try_template(from, &state.fingerprint, plan);
    }
    let settled = decided.create == 0 && decided.withheld == 0 && decided.drain.is_empty();
    if !verified || !settled || state.starting > 0 && fresh {
        return;
    }
    old.sort_by_key(|(worker, phase)| {
        (matches!(phase, Phase::Serving { .. }), worker.meta().name.clone())
    });
    let at_once = (decided.desired / 4).max(1).saturating_sub(going);
    let limit = state.policy.drain.deadline_seconds();
    for (worker, phase) in old.into_iter().take(at_once as usize) {
        match phase {
            Phase::Serving { .. } => {
                let intent = Intent {
                    since: scene.now_micros,
                    deadline: limit.map(|limit| scene.now_micros + (limit * 1e6) as u64),
                    reason: DrainReason::Template,
                };
                drain(&worker, intent, plan);
            }
            _ => delete(&worker, &Target::new(Kind::Pod, name), plan),
        }
    }
}

fn try_template(from: &template::Worker<'_>, fingerprint: &str, plan: &mut Plan) {
    // No worker ever gets this slot, so the name is free.
    let body = template::worker(from, fingerprint, u32::MAX);
    plan.write(
        Stage::Parts,
        Target::new(Kind::Template, &from.group.name),
        Action::DryRun { body, fingerprint: fingerprint.to_owned() },
    );
}
