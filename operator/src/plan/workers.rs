//! The workers of all groups of a cluster: what `elastic` decides, as writes on pods.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use dasklet_core::demand::MemberRef;
use dasklet_elastic::{
    GroupInput, GroupMember, GroupObservation, GroupPlan, GroupPolicy, Phase, plan::RemovalCause,
    plan_groups,
};
use serde_json::json;

use super::{
    carry::{Carrier, Worker, by_group},
    event::EventNote,
    intent::{DrainReason, Intent, kept_at},
    member::{self, KEPT_SETTLES_MICROS},
    memory::Memory,
    orders::Order,
    policy,
    reachable::Scene,
    renewal,
    trouble::{Trouble, trouble},
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{
    names,
    observe::{GroupObject, Pod},
    template::{self, worker},
};

/// Most pods that one plan creates for a group; the next one goes on.
const MOST_CREATED: u32 = 64;
/// An order that shows no effect for so long is given again.
const ORDER_AGAIN_MICROS: u64 = 3_000_000;

/// How a group stands after its plan.
#[derive(Debug, Default)]
pub struct GroupState {
    /// What was decided.
    pub plan: GroupPlan,
    /// What was wanted of it.
    pub policy: GroupPolicy,
    /// Workers that exist and do not go.
    pub present: u32,
    /// Those that serve.
    pub serving: u32,
    /// Those that start.
    pub starting: u32,
    /// Those that drain or end.
    pub draining: u32,
    /// Those of an older template.
    pub outdated: u32,
    /// What is wrong with its pods, the worst first.
    pub troubles: Vec<Trouble>,
    /// Fingerprint of its template.
    pub fingerprint: String,
}

struct Seen<'a> {
    worker: Worker<'a>,
    member: GroupMember,
    references: Vec<MemberRef>,
    state_drains: bool,
    connected: bool,
    end_told: bool,
}

/// Plans the workers of every group, and says what was decided.
pub fn plan_workers(
    scene: &Scene<'_>,
    memory: &mut Memory,
    plan: &mut Plan,
) -> BTreeMap<String, GroupState> {
    let now = scene.now_micros;
    let mut workers = by_group(scene.observed);
    let mut known = HashSet::new();
    let mut groups: Vec<(&GroupObject, GroupPolicy, Vec<Seen<'_>>)> = Vec::new();
    for group in scene.observed.groups.values().filter(|group| !group.meta.deleting) {
        let going = scene.is_going(group);
        let suspended = scene.suspended || going;
        let Some(mut policy) = policy::policy(scene.observed, group, suspended) else { continue };
        if let (true, Some(autoscale)) = (scene.minimum, &mut policy.autoscale) {
            autoscale.max_replicas = autoscale.min_replicas;
        }
        let seen: Vec<Seen<'_>> = workers
            .remove(group.meta.name.as_str())
            .unwrap_or_default()
            .into_iter()
            .map(|worker| look(worker, scene, memory))
            .collect();
        known.extend(seen.iter().map(|seen| seen.worker.meta().uid.clone()));
        if !memory.histories.contains_key(&group.meta.name) {
            let history = policy::restored(group, &policy, now);
            memory.histories.insert(group.meta.name.clone(), history);
        }
        groups.push((group, policy, seen));
    }
    memory.workers.retain(|uid, _| known.contains(uid));
    let observations: Vec<GroupObservation> = groups
        .iter()
        .map(|(_, _, seen)| GroupObservation {
            members: seen.iter().map(|seen| seen.member.clone()).collect(),
        })
        .collect();
    let inputs: Vec<GroupInput<'_>> = groups
        .iter()
        .zip(&observations)
        .map(|((_, policy, _), observed)| GroupInput { policy, observed })
        .collect();
    let demand = scene.sight.demand.as_deref();
    let plans = plan_groups(&inputs, demand, &mut memory.histories, now);
    let mut states = BTreeMap::new();
    for ((group, policy, seen), decided) in groups.iter().zip(plans) {
        if let Some(micros) = decided.requeue_after_micros {
            plan.again_after(micros);
        }
        let state = carry_out(scene, group, policy, seen, decided, memory, plan);
        states.insert(group.meta.name.clone(), state);
    }
    states
}

fn look<'a>(worker: Worker<'a>, scene: &Scene<'_>, memory: &mut Memory) -> Seen<'a> {
    let members = member::seen(&worker, scene.sight);
    let remembered = memory.workers.entry(worker.meta().uid.clone()).or_default();
    member::remember(remembered, &worker, &members, scene.sight, scene.now_micros);
    let member = member::member(&worker, &members, remembered, scene.sight, scene.now_micros);
    let drains = |member: &&dasklet_core::demand::Member| {
        use dasklet_core::demand::MemberState::{Drained, Draining};
        matches!(member.state, Draining | Drained)
    };
    Seen {
        worker,
        member,
        state_drains: !members.is_empty() && members.iter().all(drains),
        references: members.into_iter().map(member::reference).collect(),
        connected: remembered.served_since.is_some(),
        end_told: remembered.end_told,
    }
}

fn carry_out(
    scene: &Scene<'_>,
    group: &GroupObject,
    policy: &GroupPolicy,
    seen: &[Seen<'_>],
    decided: GroupPlan,
    memory: &mut Memory,
    plan: &mut Plan,
) -> GroupState {
    let now = scene.now_micros;
    let target = Target::new(Kind::Pod, &group.meta.name);
    let mut state = count(seen, policy);
    if let Some(from) = scene.worker_template(group) {
        state.fingerprint = from.fingerprint();
        forget_old_refusals(memory, &group.meta.name, &state.fingerprint);
        create(scene, &from, &state.fingerprint, seen, &decided, plan);
        renewal::renew(scene, group, &from, &mut state, seen_of(seen), &decided, memory, plan);
    }
    let find = |reference: &MemberRef| {
        seen.iter().find(|seen| {
            seen.member.name == reference.name
                && reference.instance.as_deref() == Some(seen.member.instance.as_str())
        })
    };
    let reason = if policy.suspended { DrainReason::Suspend } else { DrainReason::ScaleDown };
    let deadline = decided.drain_deadline_seconds.map(|limit| now + (limit * 1e6) as u64);
    for removal in &decided.remove {
        let Some(seen) = find(&removal.member) else { continue };
        if !seen.end_told && tell_end(seen, group, removal.cause, plan) {
            memory.workers.entry(seen.member.instance.clone()).or_default().end_told = true;
        }
        // What failed to start stays to be looked at until another try is due.
        if removal.cause == RemovalCause::FailedStart && decided.withheld > 0 {
            continue;
        }
        // It may have connected since the scheduler was last heard, and have work.
        let heard = scene.sight.demand.is_some();
        let starts = |pod: &Arc<Pod>| pod.is_running() || heard && !pod.node.is_empty();
        if removal.cause == RemovalCause::NeverServed && seen.worker.pod.is_some_and(starts) {
            drain(&seen.worker, Intent { since: now, deadline, reason }, plan);
        } else {
            delete(&seen.worker, &target, plan);
        }
    }
    for reference in &decided.undrain {
        if let Some(seen) = find(reference) {
            let notes = json!({names::DRAIN: null, names::KEPT: now.to_string()});
            annotate(&seen.worker, notes, plan);
        }
    }
    for reference in &decided.drain {
        if let Some(seen) = find(reference) {
            drain(&seen.worker, Intent { since: now, deadline, reason }, plan);
        }
    }
    for seen in seen {
        follow_up(scene, policy, seen, &target, memory, plan);
    }
    state.plan = decided;
    state
}

fn seen_of<'a>(seen: &'a [Seen<'_>]) -> impl Iterator<Item = (Worker<'a>, Phase)> {
    seen.iter().map(|seen| (seen.worker, seen.member.phase))
}

fn count(seen: &[Seen<'_>], policy: &GroupPolicy) -> GroupState {
    let mut state = GroupState { policy: policy.clone(), ..GroupState::default() };
    for seen in seen {
        match seen.member.phase {
            Phase::Pending | Phase::Starting => state.starting += 1,
            Phase::Serving { .. } => state.serving += 1,
            Phase::Draining { .. } | Phase::Drained => state.draining += 1,
            Phase::Failed { .. } => {}
        }
        let wanted =
            matches!(seen.member.phase, Phase::Pending | Phase::Starting | Phase::Failed { .. });
        if let Some(found) = seen.worker.pod.and_then(|pod| trouble(pod)).filter(|_| wanted) {
            state.troubles.push(found);
        }
        if !seen.worker.is_leaving() && !matches!(seen.member.phase, Phase::Failed { .. }) {
            state.present += 1;
        }
    }
    state.troubles.sort();
    state
}

/// A refusal speaks of the template that was refused, not of its successor.
fn forget_old_refusals(memory: &mut Memory, group: &str, fingerprint: &str) {
    memory.failures.retain(|target, failure| {
        let about_it = target.name == group && matches!(target.kind, Kind::Pod | Kind::Template);
        !about_it || failure.fingerprint.as_deref().is_none_or(|refused| refused == fingerprint)
    });
}

fn create(
    scene: &Scene<'_>,
    from: &template::Worker<'_>,
    fingerprint: &str,
    seen: &[Seen<'_>],
    decided: &GroupPlan,
    plan: &mut Plan,
) {
    let group = &from.group.name;
    // Names that any pod has are taken, whatever its labels say.
    let taken: HashSet<u32> =
        scene.observed.pods.keys().filter_map(|pod| names::slot(group, pod)).collect();
    let count = decided.create.min(MOST_CREATED);
    let deployed: HashSet<&str> =
        seen.iter().map(|seen| seen.worker.meta().name.as_str()).collect();
    let free = (0u32..).filter(|slot| {
        !taken.contains(slot) && !deployed.contains(names::worker(group, *slot).as_str())
    });
    for slot in free.take(count as usize) {
        let body = worker(from, fingerprint, slot);
        let action = Action::Create { kind: Kind::Pod, body };
        plan.write(Stage::Pods, Target::new(Kind::Pod, group), action);
    }
    if decided.create > count {
        plan.again_after(1);
    }
}

/// Asks the scheduler again where it does not do what is written on the pod, and ends what a
/// silent scheduler would keep for ever.
fn follow_up(
    scene: &Scene<'_>,
    policy: &GroupPolicy,
    seen: &Seen<'_>,
    target: &Target,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let (meta, now) = (seen.worker.meta(), scene.now_micros);
    if seen.worker.is_leaving() {
        return;
    }
    let intent = Intent::of(meta, now);
    let kept = kept_at(meta).is_some_and(|at| now < at + KEPT_SETTLES_MICROS);
    let wrong = match intent {
        Some(_) => !seen.state_drains,
        None => kept && seen.state_drains,
    };
    if wrong && !seen.references.is_empty() {
        let remembered = memory.workers.entry(meta.uid.clone()).or_default();
        if remembered.ordered_at.is_none_or(|at| now > at + ORDER_AGAIN_MICROS) {
            remembered.ordered_at = Some(now);
            let members = seen.references.clone();
            plan.orders.push(match intent {
                Some(intent) => Order::Drain {
                    members,
                    deadline_seconds: intent
                        .deadline
                        .map(|deadline| deadline.saturating_sub(now) as f64 / 1e6),
                },
                None => Order::Undrain { members },
            });
        }
        plan.again_after(ORDER_AGAIN_MICROS);
    }
    let Some(intent) = intent else { return };
    let limit = u64::from(policy.drain.timeout_seconds) * 1_000_000;
    let until = intent.deadline.unwrap_or(intent.since + limit);
    let silent = scene.sight.demand.is_none() && policy.suspended;
    let template = intent.reason == DrainReason::Template && intent.deadline.is_some();
    if (silent || template && seen.member.bytes_sole == 0) && now > until + limit.min(5_000_000) {
        delete(&seen.worker, target, plan);
    } else if silent || template {
        plan.again_after(until.saturating_sub(now) + 5_000_000);
    }
}

/// Writes down that a worker is to be drained.
pub(super) fn drain(worker: &Worker<'_>, intent: Intent, plan: &mut Plan) {
    annotate(worker, json!({names::DRAIN: intent.text(), names::KEPT: null}), plan);
}

fn annotate(worker: &Worker<'_>, notes: serde_json::Value, plan: &mut Plan) {
    let meta = worker.meta();
    let patch = json!({"metadata": {"uid": meta.uid, "annotations": notes}});
    plan.write(
        Stage::Notes,
        Target::new(worker.kind(), &meta.name),
        Action::Patch {
            kind: worker.kind(),
            name: meta.name.clone(),
            patch,
            manager: "dasklet-drain",
            status: false,
        },
    );
}

/// Ends a worker: this very one.
pub(super) fn delete(worker: &Worker<'_>, target: &Target, plan: &mut Plan) {
    let meta = worker.meta();
    if meta.deleting {
        return;
    }
    let (at_once, version) = match worker.carrier {
        // What has not begun to run may have meanwhile, and have work: then it is looked at again.
        Carrier::Pod(pod) if !pod.is_running() && !pod.is_dead() => {
            (false, Some(meta.resource_version))
        }
        Carrier::Pod(pod) => (pod.is_finished(), None),
        Carrier::Deployment(_) => (false, None),
    };
    plan.write(
        Stage::Pods,
        target.clone(),
        Action::Delete {
            kind: worker.kind(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            at_once,
            version,
        },
    );
}

/// Tells of a worker's end what somebody should know; whether there was anything to tell.
fn tell_end(seen: &Seen<'_>, group: &GroupObject, cause: RemovalCause, plan: &mut Plan) -> bool {
    let pod = seen.worker.pod;
    let found = pod.and_then(|pod| trouble(pod));
    let died = pod.is_some_and(|pod| pod.is_dead()) && found.is_some();
    let (warning, reason) = match cause {
        RemovalCause::StartDeadline => (true, "StartDeadlineExceeded"),
        RemovalCause::FailedStart if !seen.connected => (true, "WorkerFailedToStart"),
        _ if died => (true, "WorkerDied"),
        RemovalCause::FailedStart | RemovalCause::Dead => (false, "WorkerEnded"),
        RemovalCause::Drained | RemovalCause::DrainDeadline | RemovalCause::NeverServed => {
            return false;
        }
    };
    let meta = seen.worker.meta();
    let message =
        found.map_or_else(|| format!("worker {}: {cause}", meta.name), |found| found.message);
    let about = (Kind::Group, group.meta.name.as_str(), group.meta.uid.as_str());
    plan.event(EventNote::single(about, warning, reason, &message, &meta.uid));
    true
}
