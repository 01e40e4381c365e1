//! A worker as the planner sees it: what its pod says joined with what the scheduler says.

use dasklet_core::demand::{Member, MemberRef, MemberState};
use dasklet_elastic::{GroupMember, Phase};

use super::{
    carry::Worker,
    intent::{Intent, kept_at},
    memory::WorkerMemory,
};
use crate::observe::{Pod, PodPhase, Sight};

/// For so long after a drain was called back an older answer may still say "draining".
pub const KEPT_SETTLES_MICROS: u64 = 30_000_000;
/// A draining worker that the scheduler does not know for so long has nothing left there.
const ABSENT_IS_DRAINED_MICROS: u64 = 3_000_000;
/// A worker that ends sooner than this has not served: it is a failed start.
const SERVED_MICROS: u64 = 10_000_000;

/// The scheduler's members that are processes of this worker.
pub fn seen<'a>(worker: &Worker<'_>, sight: &'a Sight) -> Vec<&'a Member> {
    let meta = worker.meta();
    let pod_uid = worker.pod.map(|pod| pod.meta.uid.as_str());
    let ip = worker.pod.map(|pod| pod.ip.as_str()).filter(|ip| !ip.is_empty());
    sight
        .members
        .iter()
        .filter(|member| {
            if is_uid(&member.instance) {
                return Some(member.instance.as_str()) == pod_uid;
            }
            member.name == meta.name || ip.is_some_and(|ip| host_of(&member.address) == ip)
        })
        .collect()
}

fn is_uid(instance: &str) -> bool {
    instance.len() == 36 && instance.split('-').count() == 5
}

fn host_of(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A member's reference as the scheduler gave it.
pub fn reference(member: &Member) -> MemberRef {
    let instance = (!member.instance.is_empty()).then(|| member.instance.clone());
    MemberRef { name: member.name.clone(), instance }
}

/// Brings the memory of a worker up to date.
pub fn remember(
    memory: &mut WorkerMemory,
    worker: &Worker<'_>,
    seen: &[&Member],
    sight: &Sight,
    now_micros: u64,
) {
    if memory.first_seen == 0 {
        memory.first_seen = now_micros;
    }
    let alive = worker.pod.is_some_and(|pod| !pod.is_dead());
    memory.seen_alive |= alive;
    if let Some(pod) = worker.pod.filter(|pod| pod.is_dead()) {
        memory.ended_at.get_or_insert(pod.ended_micros().unwrap_or(now_micros).min(now_micros));
    }
    if alive && !seen.is_empty() {
        memory.served_since.get_or_insert(now_micros);
        memory.absent_since = None;
    } else if sight.demand.is_some() {
        memory.absent_since.get_or_insert(now_micros);
    }
}

/// The worker as a member of its group.
pub fn member(
    worker: &Worker<'_>,
    seen: &[&Member],
    memory: &WorkerMemory,
    sight: &Sight,
    now_micros: u64,
) -> GroupMember {
    let meta = worker.meta();
    let (phase, created) = phase(worker, seen, memory, sight, now_micros);
    let mut member = GroupMember::new(&meta.name, &meta.uid, phase, created);
    member.idle_seconds = seen.iter().map(|m| m.idle_seconds).fold(f64::MAX, f64::min);
    if seen.is_empty() {
        member.idle_seconds = 0.0;
    }
    member.bytes_stored = seen.iter().map(|m| m.bytes_stored).sum();
    member.bytes_sole = seen.iter().map(|m| m.bytes_sole).sum();
    member.running = seen.iter().map(|m| m.running).sum();
    member
}

fn phase(
    worker: &Worker<'_>,
    seen: &[&Member],
    memory: &WorkerMemory,
    sight: &Sight,
    now: u64,
) -> (Phase, u64) {
    let meta = worker.meta();
    let created = meta.created_micros.max(memory.first_seen.min(now));
    let leaving =
        |since_micros| Phase::Draining { since_micros, deadline_micros: None, revocable: false };
    if worker.is_leaving() {
        return (leaving(now), created);
    }
    let Some(pod) = worker.pod else { return (Phase::Pending, created) };
    if pod.is_dead() {
        // Workers of other engines end by themselves once they are drained.
        let drained = Intent::of(meta, now).is_some();
        let failed = Phase::Failed { served: has_served(memory, pod, now) };
        return (if drained { Phase::Drained } else { failed }, created);
    }
    let all_drained =
        !seen.is_empty() && seen.iter().all(|member| member.state == MemberState::Drained);
    let absent_for = memory.absent_since.map_or(0, |since| now.saturating_sub(since));
    if let Some(intent) = Intent::of(meta, now) {
        // The scheduler must have answered since it was asked.
        let answered = sight.demand.is_some() && sight.at_micros > intent.since;
        let young = |since| now < since + ABSENT_IS_DRAINED_MICROS;
        let unknown = seen.is_empty()
            && absent_for > ABSENT_IS_DRAINED_MICROS
            && !pod.ready_since_micros.is_some_and(young);
        let never_served = memory.served_since.is_none() && !pod.is_running();
        if answered && (all_drained || unknown || never_served) {
            return (Phase::Drained, created);
        }
        let phase = Phase::Draining {
            since_micros: intent.since,
            deadline_micros: intent.deadline,
            revocable: intent.is_revocable() && sight.revocable,
        };
        return (phase, created);
    }
    let settling = kept_at(meta).is_some_and(|at| now < at + KEPT_SETTLES_MICROS);
    if !seen.is_empty() {
        let some = |state| seen.iter().any(|member| member.state == state);
        let phase = if settling {
            Phase::Serving { since_micros: memory.served_since.unwrap_or(now) }
        } else if all_drained {
            // Somebody else retired it.
            Phase::Drained
        } else if some(MemberState::Draining) || some(MemberState::Drained) {
            leaving(now)
        } else {
            Phase::Serving { since_micros: memory.served_since.unwrap_or(now) }
        };
        return (phase, created);
    }
    (unseen(pod, memory, sight), created.max(memory.absent_since.unwrap_or(0)))
}

/// Whether a worker whose process has ended had served.
fn has_served(memory: &WorkerMemory, pod: &Pod, now: u64) -> bool {
    let ended = memory.ended_at.unwrap_or(now);
    match memory.served_since {
        Some(since) => ended > since + SERVED_MICROS,
        // It ended before this operator began: only the kubelet can tell.
        None => !memory.seen_alive && pod.ran_micros().is_some_and(|ran| ran > SERVED_MICROS),
    }
}

/// A worker that the scheduler does not name.
fn unseen(pod: &Pod, memory: &WorkerMemory, sight: &Sight) -> Phase {
    match (memory.served_since, pod.ready_since_micros) {
        // Its process lives: it connects again, and keeps what it holds.
        (Some(since_micros), _) if pod.is_running() => Phase::Serving { since_micros },
        // There is nobody who could know better.
        (None, Some(since_micros)) if sight.demand.is_none() => Phase::Serving { since_micros },
        _ if pod.node.is_empty() && pod.phase == PodPhase::Pending => Phase::Pending,
        _ => Phase::Starting,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dasklet_core::{Resources, demand::Demand};

    use super::*;
    use crate::{
        names,
        observe::{Container, ContainerState, Meta},
        plan::{DrainReason, carry::Carrier},
    };

    const SECOND: u64 = 1_000_000;
    const UID: &str = "0f5a1c1e-0000-4000-8000-000000000001";

    fn pod(change: impl FnOnce(&mut Pod)) -> Arc<Pod> {
        let mut pod = Pod {
            meta: Meta {
                name: "g-worker-0".to_owned(),
                uid: UID.to_owned(),
                created_micros: SECOND,
                ..Meta::default()
            },
            node: "n".to_owned(),
            ip: "10.0.0.7".to_owned(),
            phase: PodPhase::Running,
            never_restarts: true,
            ready_since_micros: Some(SECOND),
            containers: vec![Container { state: ContainerState::Running, ..Container::default() }],
            ..Pod::default()
        };
        change(&mut pod);
        Arc::new(pod)
    }

    fn says(instance: &str, address: &str, state: MemberState) -> Member {
        Member {
            id: 1,
            name: "g-worker-0".to_owned(),
            instance: instance.to_owned(),
            group: "g".to_owned(),
            address: address.to_owned(),
            resources: Resources::default(),
            state,
            running: 1,
            bytes_stored: 2,
            bytes_sole: 3,
            bytes_spilled: 0,
            memory_used: 0,
            memory_limit: 0,
            cpu_seconds: 0.0,
            idle_seconds: 0.0,
            silent_seconds: 0.0,
        }
    }

    fn sight(members: Vec<Member>) -> Sight {
        Sight {
            demand: Some(Arc::new(Demand::default())),
            members: Arc::new(members),
            error: None,
            at_micros: 100 * SECOND,
            revocable: true,
        }
    }

    fn phase_of(pod: &Arc<Pod>, sight: &Sight, memory: &mut WorkerMemory, now: u64) -> Phase {
        let worker = Worker { carrier: Carrier::Pod(pod), pod: Some(pod) };
        let seen = seen(&worker, sight);
        remember(memory, &worker, &seen, sight, now);
        member(&worker, &seen, memory, sight, now).phase
    }

    #[test]
    fn a_worker_starts_serves_and_is_drained() {
        let mut memory = WorkerMemory::default();
        let plain = pod(|_| {});
        assert_eq!(phase_of(&plain, &sight(vec![]), &mut memory, 2 * SECOND), Phase::Starting);
        // An older pod of the same name is somebody else.
        let old = says("0f5a1c1e-0000-4000-8000-00000000000f", "", MemberState::Serving);
        assert_eq!(phase_of(&plain, &sight(vec![old]), &mut memory, 3 * SECOND), Phase::Starting);
        let serving = sight(vec![says(UID, "", MemberState::Serving)]);
        let since = Phase::Serving { since_micros: 4 * SECOND };
        assert_eq!(phase_of(&plain, &serving, &mut memory, 4 * SECOND), since);
        // A connection that breaks does not make it another member.
        assert_eq!(phase_of(&plain, &sight(vec![]), &mut memory, 5 * SECOND), since);

        let intent = Intent { since: 6 * SECOND, deadline: None, reason: DrainReason::ScaleDown };
        let marked = pod(|pod| {
            pod.meta.annotations.insert(names::DRAIN.to_owned(), intent.text());
        });
        let draining =
            Phase::Draining { since_micros: 6 * SECOND, deadline_micros: None, revocable: true };
        assert_eq!(phase_of(&marked, &serving, &mut memory, 7 * SECOND), draining);
        let drained = sight(vec![says(UID, "", MemberState::Drained)]);
        assert_eq!(phase_of(&marked, &drained, &mut memory, 8 * SECOND), Phase::Drained);
        // An answer from before the question says nothing.
        let early = Sight { at_micros: 5 * SECOND, ..drained.clone() };
        assert_eq!(phase_of(&marked, &early, &mut memory, 8 * SECOND), draining);

        let kept = pod(|pod| {
            pod.meta.annotations.insert(names::KEPT.to_owned(), (9 * SECOND).to_string());
        });
        assert_eq!(phase_of(&kept, &drained, &mut memory, 10 * SECOND), since);
        assert_eq!(phase_of(&kept, &drained, &mut memory, 60 * SECOND), Phase::Drained);
    }

    #[test]
    fn workers_of_other_engines_are_known_by_their_address() {
        let mut memory = WorkerMemory::default();
        let mut other = says("", "tcp://10.0.0.7:4000", MemberState::Serving);
        other.name = "tcp://10.0.0.7:4000".to_owned();
        let phase = phase_of(&pod(|_| {}), &sight(vec![other]), &mut memory, 2 * SECOND);
        assert_eq!(phase, Phase::Serving { since_micros: 2 * SECOND });
    }

    #[test]
    fn a_ready_worker_counts_while_the_scheduler_is_silent() {
        let mut memory = WorkerMemory::default();
        let silent = Sight::default();
        let phase = phase_of(&pod(|_| {}), &silent, &mut memory, 900 * SECOND);
        assert_eq!(phase, Phase::Serving { since_micros: SECOND });
    }

    #[test]
    fn a_process_that_ends_at_once_has_not_served() {
        let dead = pod(|pod| pod.phase = PodPhase::Failed);
        for (served_since, served) in
            [(None, false), (Some(SECOND), true), (Some(95 * SECOND), false)]
        {
            let mut memory = WorkerMemory { served_since, ..WorkerMemory::default() };
            let phase = phase_of(&dead, &sight(vec![]), &mut memory, 100 * SECOND);
            assert_eq!(phase, Phase::Failed { served });
        }
    }

    #[test]
    fn whether_it_had_served_does_not_change_while_its_pod_is_looked_at() {
        let mut memory = WorkerMemory { served_since: Some(SECOND), ..WorkerMemory::default() };
        let dead = pod(|pod| {
            pod.phase = PodPhase::Failed;
            pod.containers[0].ended_micros = Some(6 * SECOND);
        });
        for now in [6, 30, 300] {
            let phase = phase_of(&dead, &sight(vec![]), &mut memory, now * SECOND);
            assert_eq!(phase, Phase::Failed { served: false }, "at {now} s");
        }
    }

    #[test]
    fn of_one_that_ended_before_the_operator_began_the_kubelet_tells() {
        for (ran, served) in [(3 * SECOND, false), (30 * SECOND, true)] {
            let dead = pod(|pod| {
                pod.phase = PodPhase::Failed;
                pod.containers[0].ran_micros = Some(ran);
            });
            let mut memory = WorkerMemory::default();
            let phase = phase_of(&dead, &sight(vec![]), &mut memory, 100 * SECOND);
            assert_eq!(phase, Phase::Failed { served });
        }
    }

    #[test]
    fn one_that_ends_by_itself_after_its_drain_has_not_failed() {
        let intent = Intent { since: SECOND, deadline: None, reason: DrainReason::ScaleDown };
        let ended = pod(|pod| {
            pod.phase = PodPhase::Succeeded;
            pod.meta.annotations.insert(names::DRAIN.to_owned(), intent.text());
        });
        let mut memory = WorkerMemory { served_since: Some(SECOND), ..WorkerMemory::default() };
        let phase = phase_of(&ended, &sight(vec![]), &mut memory, 100 * SECOND);
        assert_eq!(phase, Phase::Drained);
    }
}
