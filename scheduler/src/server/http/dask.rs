//! What Dask's scheduler answers, for the tools that ask it.

use std::{collections::HashSet, sync::Arc};

use axum::{Json, extract::State};
use dasklet_core::{
    Resources,
    demand::{DemandRequest, Member, MemberState, Shape},
    resources::{CPU, MEMORY},
};
use serde_json::{Map, Value, json};

use crate::{
    server::shell::{Core, Shell, unix_seconds},
    state::{TaskState, Time},
};

/// Most further workers that are asked for at once.
const MOST: u32 = 10_000;

/// `GET /api/v1/get_workers`.
pub(super) async fn get_workers(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    let members = shell.lock().state.members(now);
    let workers: Vec<Value> = members
        .iter()
        .map(|member| json!({ "name": member.name, "address": address(member) }))
        .collect();
    Json(json!({ "num_workers": workers.len(), "workers": workers }))
}

/// `GET /api/v1/adaptive_target`.
pub(super) async fn adaptive_target(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    Json(json!({ "workers": desired_workers(&shell.lock(), now) }))
}

/// How many workers the present work needs: those present that it needs, and as many more of the
/// same kind as would get work.
pub(super) fn desired_workers(core: &Core, now: Time) -> u32 {
    let members = core.state.members(now);
    let resources = members.first().map_or_else(Resources::one_slot, |m| m.resources.clone());
    let shape = Shape { group: String::new(), resources, most: MOST };
    let demand = core.demand(now, &DemandRequest { shapes: vec![shape], ..Default::default() });
    let needed: u32 = demand.groups.iter().map(|group| group.needed).sum();
    let useful: u32 = demand.trials.iter().map(|trial| trial.useful).sum();
    needed.saturating_add(useful)
}

/// `GET /api/v1/check_idle`.
pub(super) async fn check_idle(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    let demand = shell.lock().demand(now, &DemandRequest::default());
    Json(json!({ "idle_since": demand.idle_seconds.map(|seconds| unix_seconds() - seconds) }))
}

/// `GET /json/counts.json`.
pub(super) async fn counts(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    let core = shell.lock();
    let counters = core.state.counters();
    let members = core.state.members(now);
    let hosts: HashSet<&str> = members.iter().map(host).collect();
    let cores: u64 = members.iter().map(threads).sum();
    let count = |state| counters.in_state(state);
    Json(json!({
        "bytes": counters.bytes_stored,
        "clients": core.sessions.connected(),
        "cores": cores,
        "erred": count(TaskState::Failed),
        "hosts": hosts.len(),
        "idle": members.iter().filter(|m| is_idle(m)).count(),
        "memory": count(TaskState::Done),
        "processing": count(TaskState::Assigned),
        "released": count(TaskState::Released) + count(TaskState::Cancelled),
        "saturated": members.iter().filter(|m| is_saturated(m)).count(),
        "tasks": counters.tasks.iter().sum::<u64>(),
        "unrunnable": if members.is_empty() { count(TaskState::Ready) } else { 0 },
        "waiting": count(TaskState::Waiting) + count(TaskState::Delayed),
        "waiting_data": count(TaskState::Waiting),
        "workers": members.len(),
        "desired_workers": desired_workers(&core, now),
    }))
}

/// `GET /json/identity.json`.
pub(super) async fn identity(State(shell): State<Arc<Shell>>) -> Json<Value> {
    let now = shell.now();
    let core = shell.lock();
    let members = core.state.members(now);
    let workers: Map<String, Value> = members
        .iter()
        .map(|member| (address(member), worker_identity(&core, member, status(member))))
        .collect();
    let (address, http_port) = core.addresses.clone();
    Json(json!({
        "type": "Scheduler",
        "id": format!("Scheduler-{}", core.state.epoch().0),
        "address": address,
        "services": { "dashboard": http_port },
        "started": shell.started_unix,
        "n_workers": members.len(),
        "total_threads": members.iter().map(threads).sum::<u64>(),
        "total_memory": members.iter().map(|m| m.memory_limit).sum::<u64>(),
        "workers": workers,
    }))
}

/// A worker in Dask's words.
pub(super) fn worker_identity(core: &Core, member: &Member, status: &str) -> Value {
    let resources: Map<String, Value> = member
        .resources
        .iter()
        .filter(|(name, _)| *name != CPU && *name != MEMORY)
        .map(|(name, amount)| (name.to_owned(), json!(amount as f64 / 1000.0)))
        .collect();
    let peer = core.workers.get(dasklet_core::WorkerId(member.id));
    json!({
        "type": "Worker",
        "id": member.name,
        "host": peer.map_or_else(|| host(member), |p| if p.host.is_empty() { host(member) } else { &p.host }),
        "resources": resources,
        "local_directory": "",
        "name": member.name,
        "nthreads": threads(member),
        "memory_limit": member.memory_limit,
        "last_seen": unix_seconds() - member.silent_seconds,
        "services": {},
        "metrics": {
            "memory": member.memory_used,
            "managed_bytes": member.bytes_stored,
            "spilled_bytes": { "memory": 0, "disk": member.bytes_spilled },
            "cpu_seconds": member.cpu_seconds,
            "executing": member.running,
        },
        "status": status,
        "nanny": null,
    })
}

/// Dask's word for how a member stands.
pub(super) const fn status(member: &Member) -> &'static str {
    match member.state {
        MemberState::Serving => "running",
        MemberState::Paused => "paused",
        MemberState::Draining | MemberState::Drained => "closing_gracefully",
    }
}

/// A worker's address as Dask writes it.
pub(super) fn address(member: &Member) -> String {
    format!("tcp://{}", member.address)
}

/// Whole slots.
pub(super) fn threads(member: &Member) -> u64 {
    member.resources.get(CPU) / 1000
}

/// Has nothing to do.
pub(super) fn is_idle(member: &Member) -> bool {
    member.state == MemberState::Serving && member.running == 0
}

/// Has as much to do as it has slots, or more.
pub(super) fn is_saturated(member: &Member) -> bool {
    member.state == MemberState::Serving
        && member.running > 0
        && u64::from(member.running) >= threads(member)
}

fn host(member: &Member) -> &str {
    member.address.rsplit_once(':').map_or(&member.address, |(host, _)| host)
}
