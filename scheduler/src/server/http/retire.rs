//! `POST /api/v1/retire_workers`, as Dask's operator calls it: drains, then ends workers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use dasklet_core::{
    WorkerId,
    demand::{Member, MemberRef, MemberState},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::{
    answer::{Refusal, read},
    dask,
};
use crate::{
    server::shell::Shell,
    state::{Time, ToWorker},
};

/// How long workers may take to hand over what they hold. Those that could not go on as before.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often their standing is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Whom to retire: by address, by name, or a number of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    workers: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
}

/// Answers with the workers that have gone, by address.
pub(super) async fn retire_workers(
    State(shell): State<Arc<Shell>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let request: Request = read(&body)?;
    let chosen = {
        let now = shell.now();
        let mut core = shell.lock();
        let chosen = choose(&request, core.state.members(now));
        for member in &chosen {
            core.state.drain(now, &reference(member), None);
        }
        shell.changed(&mut core, now);
        chosen
    };
    let mut gone = Map::new();
    let mut left: HashMap<u32, Member> = chosen.into_iter().map(|m| (m.id, m)).collect();
    let deadline = Instant::now() + PATIENCE;
    while !left.is_empty() && Instant::now() < deadline && !shell.stop.is_cancelled() {
        dismiss_drained(&shell, &mut left, &mut gone);
        if !left.is_empty() {
            sleep(LOOK).await;
        }
    }
    keep(&shell, left);
    Ok(Json(Value::Object(gone)))
}

/// The named ones, or the `n` that are missed least: idle ones first, then those with the fewest
/// bytes that only they hold.
fn choose(request: &Request, mut members: Vec<Member>) -> Vec<Member> {
    if !request.workers.is_empty() || !request.names.is_empty() {
        members.retain(|member| {
            request.workers.contains(&dask::address(member)) || request.names.contains(&member.name)
        });
        return members;
    }
    members.retain(|member| !matches!(member.state, MemberState::Draining | MemberState::Drained));
    members.sort_by_key(|member| (member.running, member.bytes_sole, member.bytes_stored));
    members.truncate(request.n.unwrap_or(0));
    members
}

fn reference(member: &Member) -> MemberRef {
    MemberRef { name: member.name.clone(), instance: Some(member.instance.clone()) }
}

/// Tells the drained ones to exit. One that has ended in the meantime has gone, too.
fn dismiss_drained(shell: &Shell, left: &mut HashMap<u32, Member>, gone: &mut Map<String, Value>) {
    let now = shell.now();
    let mut core = shell.lock();
    let standing: HashMap<u32, MemberState> =
        core.state.members(now).iter().map(|member| (member.id, member.state)).collect();
    left.retain(|id, member| {
        match standing.get(id) {
            None => {}
            Some(MemberState::Drained) => exit(&mut core.workers, WorkerId(*id), now),
            Some(_) => return true,
        }
        let identity = dask::worker_identity(&core, member, "closed");
        gone.insert(dask::address(member), identity);
        false
    });
    shell.changed(&mut core, now);
}

fn exit(workers: &mut crate::server::worker_table::WorkerTable, worker: WorkerId, now: Time) {
    workers.push(now, worker, ToWorker::Shutdown, now);
}

/// Those whose data nobody could take go on as before.
fn keep(shell: &Shell, left: HashMap<u32, Member>) {
    if left.is_empty() {
        return;
    }
    let now = shell.now();
    let mut core = shell.lock();
    for member in left.values() {
        core.state.undrain(now, &reference(member));
    }
    shell.changed(&mut core, now);
}
