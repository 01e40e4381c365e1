//! `POST /api/v1/retire_workers`, as Dask's operator calls it: drains, then ends workers.

use std::{sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use dasklet_core::{
    WorkerId,
    demand::{Member, MemberRef, MemberState},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::{
    answer::{Refusal, read},
    dask,
};
use crate::{server::shell::Shell, state::ToWorker};

/// How long workers may take to hand over what they hold. Those that could not go on as before.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Answers with the workers that have gone, by address. Goes on without its caller.
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
    match tokio::spawn(retire(shell, chosen)).await {
        Ok(gone) => Ok(Json(Value::Object(gone))),
        Err(_) => Err(Refusal::unavailable("the scheduler is stopping: ask its successor")),
    }
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

/// Ends members as they are drained. Answers with those that have gone.
async fn retire(shell: Arc<Shell>, mut left: Vec<Member>) -> Map<String, Value> {
    let mut gone = Map::new();
    let deadline = Instant::now() + PATIENCE;
    // How members stand is part of the demand.
    let mut changes = shell.demand.subscribe();
    loop {
        dismiss_drained(&shell, &mut left, &mut gone);
        if left.is_empty() {
            return gone;
        }
        let changed = tokio::select! {
            changed = timeout_at(deadline, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = shell.stop.cancelled() => false,
        };
        if !changed {
            keep(&shell, &left);
            return gone;
        }
    }
}

/// Tells the drained ones to exit. One that has ended in the meantime has gone, too.
fn dismiss_drained(shell: &Shell, left: &mut Vec<Member>, gone: &mut Map<String, Value>) {
    let now = shell.now();
    let mut core = shell.lock();
    let before = left.len();
    left.retain(|member| {
        match core.state.member_state(&reference(member)) {
            None => {}
            Some(MemberState::Drained) => {
                core.workers.push(now, WorkerId(member.id), ToWorker::Shutdown, now);
            }
            Some(_) => return true,
        }
        let identity = dask::worker_identity(&core, member, "closed");
        gone.insert(dask::address(member), identity);
        false
    });
    if left.len() < before {
        shell.changed(&mut core, now);
    }
}

/// Those whose data nobody could take go on as before.
fn keep(shell: &Shell, left: &[Member]) {
    let now = shell.now();
    let mut core = shell.lock();
    for member in left {
        core.state.undrain(now, &reference(member));
    }
    shell.changed(&mut core, now);
}
