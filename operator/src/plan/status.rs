//! What a cluster's status says.

use std::collections::BTreeMap;

use dasklet_api::{
    DaskClusterStatus,
    conditions::{
        ACCEPTED, PROGRESSING, READY, SCHEDULER_READY, SUSPENDED, TEMPLATES_VALID, WORKERS_READY,
        reason,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    condition::Conditions,
    event::EventNote,
    group_status::lack,
    hibernation::Rest,
    memory::{Failure, Memory},
    parts,
    reachable::{Scene, scheduler_pod},
    takeover::Hold,
    trouble::trouble,
    workers::GroupState,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{names, observe::Meta, template::merge_diff};

/// A scheduler that is ready answers within this.
const ANSWERS_MICROS: u64 = 5_000_000;

/// What was found about a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can be acted upon.
    Good,
    /// It cannot; why, and what to do.
    Bad(String),
}

/// Tells a cluster's status.
pub fn tell(
    scene: &Scene<'_>,
    verdict: &Verdict,
    rest: Rest,
    states: &BTreeMap<String, GroupState>,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let (meta, old) = (&scene.cluster.meta, &scene.cluster.status);
    let complete = parts::all_exist(scene);
    let part_failure = first_failure(memory, &[Kind::Deployment, Kind::Service, Kind::Group]);
    let first_moment = old.phase.is_none() && !complete && part_failure.is_none();
    if first_moment && *verdict == Verdict::Good {
        // The parts are being made: in a moment there is something to say.
        return;
    }
    let mut conditions = Conditions::new(&old.conditions, meta.generation, scene.now_micros);
    match verdict {
        Verdict::Good => conditions.set(ACCEPTED, true, reason::VALID, "the spec is valid"),
        Verdict::Bad(words) => conditions.set(
            ACCEPTED,
            false,
            reason::INVALID,
            format!("{words}. The last valid spec keeps running"),
        ),
    }
    templates(&mut conditions, memory);
    scheduler(scene, rest, part_failure, &mut conditions);
    workers(states, memory, &mut conditions);
    rests(rest, scene, &mut conditions);
    summary(verdict, states, &mut conditions);
    let default = states.get(&names::default_group(&meta.name));
    let service = scene.observed.services.get(&names::scheduler(&meta.name));
    let idle_pods = scene.observed.pods.values().all(|pod| pod.is_finished());
    let phase = match (verdict, rest) {
        (Verdict::Bad(_), _) if !complete => "Error",
        (_, Rest::Suspended | Rest::Hibernating) if idle_pods => "Suspended",
        _ if !complete => "Created",
        _ if service.is_some_and(|service| service.is_pending()) => "Pending",
        _ => "Running",
    };
    let about = (Kind::Cluster, meta.name.as_str(), meta.uid.as_str());
    let http = service.map_or(8787, |service| service.port("http-dashboard", 8787));
    let host = format!("{}.{}.svc", names::scheduler(&meta.name), meta.namespace);
    let (conditions, notes) = conditions.tell(about, &[PROGRESSING, READY]);
    let new = DaskClusterStatus {
        phase: Some(phase.to_owned()),
        replicas: Some(default.map_or(0, |state| state.present)),
        ready_replicas: Some(default.map_or(0, |state| state.serving)),
        selector: Some(names::worker_selector(&meta.name, &names::default_group(&meta.name))),
        observed_generation: Some(meta.generation),
        conditions,
        scheduler_address: Some(scene.address.to_owned()),
        dashboard_address: Some(format!("http://{host}:{http}/status")),
    };
    let urgent = outdated(old.observed_generation, meta) || old.phase != new.phase;
    let told = Told { kind: Kind::Cluster, meta, urgent, notes };
    write_status(
        &told,
        old,
        &new,
        scene.now_micros,
        scene.settings.status_pause_micros,
        memory,
        plan,
    );
}

/// Tells that nothing is written because another operator is, or may be, at work.
pub fn held(scene: &Scene<'_>, hold: Hold, memory: &mut Memory, plan: &mut Plan) {
    if hold == Hold::TakingOver {
        return;
    }
    let (meta, old) = (&scene.cluster.meta, &scene.cluster.status);
    let mut conditions = Conditions::new(&old.conditions, meta.generation, scene.now_micros);
    let words = "a dask-kubernetes operator still writes this cluster: stop it (helm uninstall \
                 its release, or scale its deployment to 0). Nothing is changed until then";
    conditions.set(PROGRESSING, false, reason::OTHER_OPERATOR, words);
    conditions.set(READY, false, reason::OTHER_OPERATOR, words);
    let about = (Kind::Cluster, meta.name.as_str(), meta.uid.as_str());
    let mut new = old.clone();
    new.observed_generation = Some(meta.generation);
    let (told, notes) = conditions.tell(about, &[PROGRESSING]);
    new.conditions.retain(|old| told.iter().all(|new| new.kind != old.kind));
    new.conditions.extend(told);
    let told = Told { kind: Kind::Cluster, meta, urgent: true, notes };
    write_status(
        &told,
        old,
        &new,
        scene.now_micros,
        scene.settings.status_pause_micros,
        memory,
        plan,
    );
}

fn first_failure<'m>(memory: &'m Memory, kinds: &[Kind]) -> Option<&'m Failure> {
    let serious = |(target, failure): &(&Target, &Failure)| match failure.reason {
        "Conflict" | "NotFound" => false,
        // A server that stumbles is tried again before anybody hears of it. What only tells of
        // something says nothing of the thing, and may have been taken though its answer was lost.
        "ApiServerUnavailable" => failure.rounds > 2 && !target.name.ends_with(')'),
        _ => true,
    };
    memory
        .failures
        .iter()
        .filter(|(target, _)| kinds.contains(&target.kind))
        .find(serious)
        .map(|(_, failure)| failure)
}

fn templates(conditions: &mut Conditions<'_>, memory: &Memory) {
    let refused = memory.failures.iter().find(|(target, failure)| {
        let template =
            matches!(target.kind, Kind::Template | Kind::Pod | Kind::Deployment | Kind::Service);
        template && failure.reason == "Invalid"
    });
    match refused {
        Some((_, failure)) => {
            conditions.set(TEMPLATES_VALID, false, reason::TEMPLATE_REFUSED, &failure.message);
        }
        None => conditions.set(
            TEMPLATES_VALID,
            true,
            reason::VALID,
            "the API server takes the templates",
        ),
    }
}

fn scheduler(
    scene: &Scene<'_>,
    rest: Rest,
    failure: Option<&Failure>,
    conditions: &mut Conditions<'_>,
) {
    let name = names::scheduler(&scene.cluster.meta.name);
    let deployment = scene.observed.deployments.get(&name);
    if let Some(failure) = failure {
        conditions.set(SCHEDULER_READY, false, failure.reason, &failure.message);
    }
    if rest != Rest::Awake {
        conditions.set(SCHEDULER_READY, false, reason::SUSPENDED, "the cluster is at rest");
    }
    if let Some(words) = deployment.and_then(|deployment| deployment.failure.as_ref()) {
        let quota = words.contains("exceeded quota");
        let word = if quota { reason::QUOTA_EXCEEDED } else { "PodsRefused" };
        let message = format!(
            "deployment {name} cannot make its pod: {words}. Change the scheduler's spec or the \
             namespace's limits"
        );
        conditions.set(SCHEDULER_READY, false, word, message);
    }
    let Some(pod) = scheduler_pod(scene.observed) else {
        let words = format!("the pod of deployment {name} is not there yet");
        conditions.set(SCHEDULER_READY, false, reason::STARTING, words);
        return;
    };
    // It is asked at once, and again if the question went astray.
    let young = pod.ready_since_micros.is_some_and(|at| scene.now_micros < at + ANSWERS_MICROS);
    if let Some(found) = trouble(pod) {
        conditions.set(SCHEDULER_READY, false, found.reason, found.message);
    } else if !pod.is_ready() {
        let words = format!("pod {} starts", pod.meta.name);
        conditions.set(SCHEDULER_READY, false, reason::STARTING, words);
    } else if let (Some(error), None, false) = (&scene.sight.error, &scene.sight.demand, young) {
        let words = format!(
            "pod {} runs but the operator cannot reach it: {error}. Check network policies and the \
             scheduler's log",
            pod.meta.name
        );
        conditions.set(SCHEDULER_READY, false, reason::SCHEDULER_UNREACHABLE, words);
    } else if scene.sight.demand.is_none() {
        let words = format!("pod {} runs; its first answer is awaited", pod.meta.name);
        conditions.set(SCHEDULER_READY, false, reason::STARTING, words);
    } else {
        conditions.set(SCHEDULER_READY, true, reason::SERVING, "the scheduler serves");
    }
}

fn workers(
    states: &BTreeMap<String, GroupState>,
    memory: &Memory,
    conditions: &mut Conditions<'_>,
) {
    for (name, state) in states {
        if let Some((word, words)) = lack(name, state, memory) {
            let (serving, desired) = (state.serving, state.plan.desired);
            let words = format!("{serving} of {desired} workers of group {name} serve{words}");
            conditions.set(WORKERS_READY, false, word, words);
        }
    }
    conditions.set(WORKERS_READY, true, reason::ENOUGH, "as many workers serve as are wanted");
}

fn rests(rest: Rest, scene: &Scene<'_>, conditions: &mut Conditions<'_>) {
    match rest {
        Rest::Awake => conditions.set(SUSPENDED, false, "Awake", "the cluster works"),
        Rest::Suspended => conditions.set(
            SUSPENDED,
            true,
            reason::SUSPENDED,
            "spec.suspend is true: set it to false to bring the pods back",
        ),
        Rest::Hibernating => conditions.set(
            SUSPENDED,
            true,
            reason::HIBERNATING,
            format!(
                "it was idle for {} s: a DaskJob for it wakes it, or kubectl annotate dsk {} {}=$(date +%s) --overwrite",
                scene.cluster.spec.as_ref().ok().and_then(|spec| spec.idle_timeout).unwrap_or(0),
                scene.cluster.meta.name,
                names::WAKE,
            ),
        ),
    }
}

fn summary(
    verdict: &Verdict,
    states: &BTreeMap<String, GroupState>,
    conditions: &mut Conditions<'_>,
) {
    let moving = states.values().any(|state| {
        state.starting > 0
            || state.draining > 0
            || state.outdated > 0
            || state.serving < state.plan.desired
    });
    if moving {
        conditions.set(PROGRESSING, true, "WorkersChange", "workers start, drain or are replaced");
    } else {
        conditions.set(PROGRESSING, false, reason::ENOUGH, "everything is as it is wanted");
    }
    let resting = conditions.get(SUSPENDED).is_some_and(|condition| condition.status == "True");
    let order: &[&str] = if resting {
        &[ACCEPTED, TEMPLATES_VALID]
    } else {
        &[ACCEPTED, TEMPLATES_VALID, SCHEDULER_READY, WORKERS_READY]
    };
    let bad = order
        .iter()
        .filter_map(|kind| conditions.get(kind))
        .find(|condition| condition.status != "True")
        .map(|condition| (condition.reason.clone(), condition.message.clone()));
    match (bad, resting, verdict) {
        (Some((word, message)), _, _) => conditions.set(READY, false, &word, message),
        (None, true, _) => {
            let found = conditions.get(SUSPENDED);
            let (word, message) = found
                .map(|condition| (condition.reason.clone(), condition.message.clone()))
                .unwrap_or_default();
            conditions.set(READY, false, &word, message);
        }
        (None, false, _) => {
            conditions.set(READY, true, reason::SERVING, "scheduler and workers serve");
        }
    }
}

/// Whose status is told.
pub struct Told<'a> {
    /// Kind of the object.
    pub kind: Kind,
    /// Its metadata.
    pub meta: &'a Meta,
    /// Whether it cannot wait: the rest is not written again and again while much changes.
    pub urgent: bool,
    /// Events that go with it.
    pub notes: Vec<EventNote>,
}

/// Whether a status speaks of an older spec.
pub fn outdated(observed: Option<i64>, meta: &Meta) -> bool {
    observed != Some(meta.generation)
}

/// Writes a status if it differs from the present one; counts alone not too often.
pub fn write_status<S: Serialize>(
    told: &Told<'_>,
    old: &S,
    new: &S,
    now_micros: u64,
    pause_micros: u64,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    let (old, new) = (json!(old), json!(new));
    // The first status says everything, zeros too.
    let first = old["observedGeneration"].is_null();
    let Some(patch) = merge_diff(&old, &new).map(|patch| if first { new } else { patch }) else {
        return;
    };
    // A status that cannot be written is no failure of what it speaks of.
    let target = Target::new(told.kind, &format!("{} (status)", told.meta.name));
    let last = memory.told_at.get(&target).copied().unwrap_or(0);
    let due = last.saturating_add(pause_micros);
    if !told.urgent && now_micros < due {
        plan.again_after(due - now_micros);
        return;
    }
    memory.told_at.insert(target.clone(), now_micros);
    for note in &told.notes {
        plan.event(note.clone());
    }
    // Clients wait for a cluster's phase: it does not wait for the pods.
    let stage = if told.kind == Kind::Cluster { Stage::Notes } else { Stage::Status };
    plan.write(
        stage,
        target,
        Action::Patch {
            kind: told.kind,
            name: told.meta.name.clone(),
            patch: status_patch(&told.meta.uid, patch),
            manager: "dasklet-status",
            status: true,
        },
    );
}

/// The patch of a status of this very object.
pub fn status_patch(uid: &str, status: Value) -> Value {
    json!({"metadata": {"uid": uid}, "status": status})
}
