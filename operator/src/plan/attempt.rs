//! Attempts of a job: what the state of a runner means, and when the next attempt begins.

use std::sync::Arc;

use super::{
    clock::rfc3339,
    job::{Desk, delete_pod},
    job_status::{Stand, Standing},
    memory::Memory,
    reachable::scheduler_pod,
    trouble::trouble,
    write::Plan,
};
use crate::{
    names,
    observe::{Observed, Pod, PodPhase},
};

const SECOND: u64 = 1_000_000;
/// Wait before the second attempt; doubled with each further one, as a Job of Kubernetes does.
const FIRST_WAIT_MICROS: u64 = 10 * SECOND;
/// Longest wait between attempts.
const LONGEST_WAIT_MICROS: u64 = 360 * SECOND;
/// Wait after an interruption that was not the job's fault; doubled with each further one.
const FIRST_PAUSE_MICROS: u64 = SECOND;
/// That a scheduler was lost may be heard so long after its job has failed of it.
const VERDICT_MICROS: u64 = 2 * SECOND;
/// Longest wait after such an interruption.
const LONGEST_PAUSE_MICROS: u64 = 60 * SECOND;

const fn doubled(first: u64, rounds: u32, longest: u64) -> u64 {
    let rounds = if rounds < 16 { rounds } else { 16 };
    let wait = first << rounds;
    if wait < longest { wait } else { longest }
}

/// Forgets runners that are gone and jobs that are.
pub fn forget(observed: &Observed, memory: &mut Memory) {
    let pods = &observed.pods;
    memory.ended_runners.retain(|uid, _| pods.values().any(|pod| pod.meta.uid == *uid));
    let jobs = &observed.jobs;
    memory.interruptions.retain(|uid, _| jobs.values().any(|job| job.meta.uid == *uid));
}

/// What the runner's state means.
pub fn follow(
    desk: &Desk<'_>,
    pod: &Arc<Pod>,
    standing: &mut Standing,
    memory: &mut Memory,
    plan: &mut Plan,
) {
    if !pod.meta.is_owned_by(&desk.job.meta.uid) {
        standing.stand = Stand::NoCluster(format!(
            "pod {} exists and is not this job's: delete it, or rename the job",
            pod.meta.name
        ));
        return;
    }
    let found = trouble(pod);
    standing.stand = match pod.phase {
        PodPhase::Pending => {
            if let Some(found) = found {
                standing.refused = Some((found.reason, found.message));
            }
            Stand::Starting(format!("pod {} starts", pod.meta.name))
        }
        PodPhase::Running => Stand::Running(
            found.map_or_else(|| format!("pod {} runs", pod.meta.name), |found| found.message),
        ),
        PodPhase::Succeeded => Stand::Succeeded,
        PodPhase::Failed if pod.reason == "DeadlineExceeded" => Stand::OverTime,
        PodPhase::Failed => match infrastructure(desk, pod) {
            Some(why) => interrupted(desk, pod, &why, memory, plan),
            None if desk.now < ended_at(desk, pod, memory) + VERDICT_MICROS => {
                plan.again_after(VERDICT_MICROS);
                Stand::Running(format!("pod {} has ended", pod.meta.name))
            }
            None if standing.attempt <= desk.spec.backoff_limit.unwrap_or(0) => {
                standing.attempt += 1;
                standing.runner = Some(names::runner(&desk.job.meta.name, standing.attempt));
                let due = due(desk, pod, standing.attempt, memory);
                Stand::Again(again(pod, standing.attempt, due))
            }
            None => Stand::Failed(failure(pod)),
        },
    };
}

/// Why an attempt does not begin yet: the one before it has just failed.
pub fn waits(
    desk: &Desk<'_>,
    attempt: u32,
    memory: &mut Memory,
    plan: &mut Plan,
) -> Option<String> {
    let last = names::runner(&desk.job.meta.name, attempt.checked_sub(1).filter(|last| *last > 0)?);
    let pod = desk.observed.pods.get(&last)?;
    let due = due(desk, pod, attempt, memory);
    if desk.now >= due {
        return None;
    }
    plan.again_after(due - desk.now);
    Some(again(pod, attempt, due))
}

/// When an attempt begins, given the runner of the one before.
fn due(desk: &Desk<'_>, failed: &Pod, attempt: u32, memory: &mut Memory) -> u64 {
    let rounds = attempt.saturating_sub(2);
    ended_at(desk, failed, memory) + doubled(FIRST_WAIT_MICROS, rounds, LONGEST_WAIT_MICROS)
}

fn ended_at(desk: &Desk<'_>, pod: &Pod, memory: &mut Memory) -> u64 {
    let seen = *memory.ended_runners.entry(pod.meta.uid.clone()).or_insert(desk.now);
    pod.ended_micros().map_or(seen, |ended| ended.min(desk.now))
}

fn failure(pod: &Pod) -> String {
    trouble(pod).map_or_else(
        || format!("pod {} failed: {}", pod.meta.name, pod.message),
        |found| found.message,
    )
}

fn again(failed: &Pod, attempt: u32, due: u64) -> String {
    format!("{}; attempt {attempt} begins at {}", failure(failed), rfc3339(due))
}

/// The same attempt again, under the same name, once this pod is gone.
fn interrupted(
    desk: &Desk<'_>,
    pod: &Pod,
    why: &str,
    memory: &mut Memory,
    plan: &mut Plan,
) -> Stand {
    let job = &desk.job.meta.uid;
    let rounds = memory.interruptions.get(job).copied().unwrap_or(0);
    let due =
        ended_at(desk, pod, memory) + doubled(FIRST_PAUSE_MICROS, rounds, LONGEST_PAUSE_MICROS);
    if desk.now < due {
        plan.again_after(due - desk.now);
    } else if !pod.meta.deleting {
        delete_pod(desk, pod, plan);
        memory.interruptions.insert(job.clone(), rounds + 1);
    }
    Stand::Again(format!("{why}; this does not count as an attempt"))
}

/// Which life of its scheduler this pod is: a container that is started again is another one.
pub fn life(scheduler: &Pod) -> String {
    let restarts: u32 = scheduler.containers.iter().map(|container| container.restarts).sum();
    format!("{} {restarts}", scheduler.meta.uid)
}

/// Why a runner's failure is not the job's own.
fn infrastructure(desk: &Desk<'_>, pod: &Pod) -> Option<String> {
    let name = &pod.meta.name;
    let reasons = [
        "Evicted",
        "NodeLost",
        "Shutdown",
        "NodeShutdown",
        "Terminated",
        "Preempting",
        "UnexpectedAdmissionError",
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
    ];
    if reasons.contains(&pod.reason.as_str()) {
        return Some(format!("pod {name}: {} {}", pod.reason, pod.message));
    }
    if pod.meta.deleting {
        return Some(format!("pod {name} was deleted"));
    }
    if let Some(disruption) = &pod.disruption {
        return Some(format!("pod {name} was ended from outside: {disruption}"));
    }
    let made_for = pod.meta.annotation(names::SCHEDULER_LIFE);
    let lost = scheduler_pod(desk.observed).is_none_or(|scheduler| {
        !scheduler.is_ready() || made_for.is_some_and(|made_for| made_for != life(scheduler))
    });
    lost.then(|| format!("the scheduler was lost while pod {name} ran"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits: Vec<u64> = (0..8)
            .map(|rounds| doubled(FIRST_WAIT_MICROS, rounds, LONGEST_WAIT_MICROS) / SECOND)
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 360, 360]);
        assert_eq!(doubled(FIRST_PAUSE_MICROS, u32::MAX, LONGEST_PAUSE_MICROS), 60 * SECOND);
    }
}
