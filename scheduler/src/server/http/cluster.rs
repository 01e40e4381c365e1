//! What an autoscaler asks and tells: demand, members, drain, undrain, lost.

use std::{sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use dasklet_core::demand::{
    Demand, DemandRequest, DrainRequest, LostRequest, Member, MemberRef, MemberStanding,
    MembersAnswer,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Refusal, read};
use crate::server::{
    limits,
    shell::{Core, Shell},
    worker_table,
};

/// Longest wait of a long poll.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long changes are gathered before a long poll is answered, so that a busy scheduler is not
/// asked after each task.
const GATHER: Duration = Duration::from_millis(20);

/// `POST /api/v1/demand`.
pub(super) async fn demand(
    State(shell): State<Arc<Shell>>,
    body: Bytes,
) -> Result<Json<Demand>, Refusal> {
    let request: DemandRequest = read(&body)?;
    if request.shapes.len() > limits::HTTP_PAGE {
        return Err(Refusal::bad_request(format!(
            "{} shapes are more than the limit of {}: ask in parts",
            request.shapes.len(),
            limits::HTTP_PAGE
        )));
    }
    if let Some(after) = request.after {
        let wait = Duration::from_millis(request.wait_millis.unwrap_or(30_000));
        wait_for_change(&shell, after, wait.min(LONGEST_WAIT)).await;
    }
    let now = shell.now();
    Ok(Json(shell.lock().demand(now, &request)))
}

/// Returns once the demand is not of version `after` any more, or after `wait`. A version of an
/// earlier epoch may be greater than ours.
async fn wait_for_change(shell: &Shell, after: u64, wait: Duration) {
    let deadline = Instant::now() + wait;
    let mut changes = shell.demand.subscribe();
    loop {
        if shell.lock().state.demand_version() != after {
            return;
        }
        tokio::select! {
            changed = timeout_at(deadline, changes.changed()) => {
                if !matches!(changed, Ok(Ok(()))) {
                    return;
                }
            }
            () = shell.stop.cancelled() => return,
        }
        sleep(GATHER.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
}

/// `GET /api/v1/members`.
pub(super) async fn members(State(shell): State<Arc<Shell>>) -> Json<Vec<Member>> {
    let now = shell.now();
    Json(shell.lock().state.members(now))
}

/// `POST /api/v1/drain`.
pub(super) async fn drain(
    State(shell): State<Arc<Shell>>,
    body: Bytes,
) -> Result<Json<MembersAnswer>, Refusal> {
    let request: DrainRequest = read(&body)?;
    check_members(&request.members)?;
    let deadline = match request.deadline_seconds {
        None => None,
        Some(seconds) if (0.0..=1e9).contains(&seconds) => Some((seconds * 1e6) as u64),
        Some(seconds) => {
            return Err(Refusal::bad_request(format!(
                "deadlineSeconds is {seconds}: give a number of seconds from 0 on, or leave it out for no limit"
            )));
        }
    };
    let now = shell.now();
    let mut core = shell.lock();
    let members = standings(&mut core, request.members, |core, member| {
        core.state.drain(now, member, deadline)
    });
    shell.changed(&mut core, now);
    Ok(Json(members))
}

/// `POST /api/v1/undrain`.
pub(super) async fn undrain(
    State(shell): State<Arc<Shell>>,
    body: Bytes,
) -> Result<Json<MembersAnswer>, Refusal> {
    let request: DrainRequest = read(&body)?;
    check_members(&request.members)?;
    if request.deadline_seconds.is_some() {
        return Err(Refusal::bad_request("deadlineSeconds has no meaning here: leave it out"));
    }
    let now = shell.now();
    let mut core = shell.lock();
    let members =
        standings(&mut core, request.members, |core, member| core.state.undrain(now, member));
    shell.changed(&mut core, now);
    Ok(Json(members))
}

/// `POST /api/v1/lost`.
pub(super) async fn lost(
    State(shell): State<Arc<Shell>>,
    body: Bytes,
) -> Result<Json<MembersAnswer>, Refusal> {
    let LostRequest { member, cause } = read(&body)?;
    check_members(std::slice::from_ref(&member))?;
    let now = shell.now();
    let mut core = shell.lock();
    let connected = core.workers.find(&member.name);
    worker_table::measure_loss(&mut core, now, |core| core.state.lost(now, &member, cause));
    // Only the state knows whether the notice was about the process that is connected now.
    if let Some(worker) = connected.filter(|worker| core.state.worker_name(*worker).is_none()) {
        worker_table::end(&mut core, worker);
    }
    let answer = standings(&mut core, vec![member], |core, member| core.state.member_state(member));
    shell.changed(&mut core, now);
    Ok(Json(answer))
}

fn standings(
    core: &mut Core,
    members: Vec<MemberRef>,
    mut stand: impl FnMut(&mut Core, &MemberRef) -> Option<dasklet_core::demand::MemberState>,
) -> MembersAnswer {
    let members = members
        .into_iter()
        .map(|member| MemberStanding { state: stand(core, &member), name: member.name })
        .collect();
    MembersAnswer { members }
}

fn check_members(members: &[MemberRef]) -> Result<(), Refusal> {
    if members.len() > limits::HTTP_PAGE {
        return Err(Refusal::bad_request(format!(
            "{} members are more than the limit of {}: ask in parts",
            members.len(),
            limits::HTTP_PAGE
        )));
    }
    match members.iter().find(|member| member.name.is_empty()) {
        Some(_) => Err(Refusal::bad_request("a member without a name: name each of them")),
        None => Ok(()),
    }
}
