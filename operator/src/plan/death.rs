//! Why a worker's process ended, from what its pod was and is.

use dasklet_core::DeathCause;

use crate::{
    names,
    observe::{Container, ContainerState, Pod},
};

/// Why the process behind a pod has just ended; `None` where none has. `new` is `None` once the
/// pod is gone.
#[must_use]
pub fn death(old: &Pod, new: Option<&Pod>) -> Option<DeathCause> {
    if old.is_dead() {
        return None;
    }
    let Some(new) = new.filter(|new| new.meta.uid == old.meta.uid) else {
        let drained = old.meta.annotation(names::DRAIN).is_some();
        return Some(disrupted(old).unwrap_or(if drained {
            DeathCause::Drained
        } else {
            DeathCause::Deleted
        }));
    };
    if new.reason == "NodeLost" || new.disruption.as_deref() == Some("DeletionByTaintManager") {
        let known = old.disruption == new.disruption && old.reason == new.reason;
        return (!known).then_some(DeathCause::NodeLost);
    }
    if new.is_dead() {
        return Some(disrupted(new).unwrap_or_else(|| ended(new)));
    }
    // A container that the kubelet starts again: dead only while the next process is not there,
    // because nothing in a message about it could tell the two apart.
    let died = old.is_running()
        && new.containers.iter().any(|container| {
            !container.init && container.state != ContainerState::Running && has_ended(container)
        });
    died.then(|| ended(new))
}

fn has_ended(container: &Container) -> bool {
    matches!(container.state, ContainerState::Terminated { .. }) || container.last.is_some()
}

fn disrupted(pod: &Pod) -> Option<DeathCause> {
    if pod.reason == "Evicted" {
        return Some(DeathCause::Evicted);
    }
    match pod.disruption.as_deref()? {
        "PreemptionByScheduler" => Some(DeathCause::Preempted),
        "DeletionByTaintManager" | "DeletionByPodGC" => Some(DeathCause::NodeLost),
        // EvictionByEvictionAPI, TerminationByKubelet and what may come.
        _ => Some(DeathCause::Evicted),
    }
}

fn ended(pod: &Pod) -> DeathCause {
    let states = pod.containers.iter().filter(|container| !container.init).flat_map(|container| {
        let last = container.last.as_ref();
        std::iter::once(&container.state).chain(last)
    });
    let mut cause = DeathCause::ExitCode { code: 0 };
    for state in states {
        let ContainerState::Terminated { reason, code, .. } = state else { continue };
        if reason == "OOMKilled" {
            return DeathCause::OomKilled;
        }
        if *code > 128 && *code < 193 {
            cause = DeathCause::Signal { signal: code - 128 };
        } else if *code != 0 {
            cause = DeathCause::ExitCode { code: *code };
        }
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Meta, PodPhase};

    fn running() -> Pod {
        Pod {
            meta: Meta { uid: "u".to_owned(), ..Meta::default() },
            phase: PodPhase::Running,
            never_restarts: true,
            containers: vec![Container {
                name: "worker".to_owned(),
                state: ContainerState::Running,
                ..Container::default()
            }],
            ..Pod::default()
        }
    }

    fn terminated(reason: &str, code: i32) -> ContainerState {
        ContainerState::Terminated { reason: reason.to_owned(), code, message: String::new() }
    }

    fn with(change: impl FnOnce(&mut Pod)) -> Pod {
        let mut pod = running();
        change(&mut pod);
        pod
    }

    #[test]
    fn causes() {
        let ended =
            |reason: &str, code| with(|pod| pod.containers[0].state = terminated(reason, code));
        for (new, cause) in [
            (ended("OOMKilled", 137), Some(DeathCause::OomKilled)),
            (ended("Error", 137), Some(DeathCause::Signal { signal: 9 })),
            (ended("Error", 3), Some(DeathCause::ExitCode { code: 3 })),
            (ended("Completed", 0), Some(DeathCause::ExitCode { code: 0 })),
            (
                with(|pod| (pod.phase, pod.reason) = (PodPhase::Failed, "Evicted".to_owned())),
                Some(DeathCause::Evicted),
            ),
            (
                with(|pod| {
                    pod.phase = PodPhase::Failed;
                    pod.disruption = Some("PreemptionByScheduler".to_owned());
                }),
                Some(DeathCause::Preempted),
            ),
            (with(|pod| pod.reason = "NodeLost".to_owned()), Some(DeathCause::NodeLost)),
            (with(|pod| pod.meta.deleting = true), None),
            (running(), None),
        ] {
            assert_eq!(death(&running(), Some(&new)), cause, "{new:?}");
        }
        assert_eq!(death(&running(), None), Some(DeathCause::Deleted));
        let draining = with(|pod| {
            pod.meta.annotations.insert(names::DRAIN.to_owned(), "{}".to_owned());
        });
        assert_eq!(death(&draining, None), Some(DeathCause::Drained));
        let dead = ended("Error", 3);
        assert_eq!(death(&dead, None), None);
    }

    #[test]
    fn a_restart_in_place_is_told_only_before_the_next_process_runs() {
        let always = |state: ContainerState| {
            with(|pod| {
                pod.never_restarts = false;
                pod.containers[0].state = state;
                pod.containers[0].last = Some(terminated("OOMKilled", 137));
            })
        };
        let waiting = always(ContainerState::default());
        assert_eq!(death(&running(), Some(&waiting)), Some(DeathCause::OomKilled));
        let again = always(ContainerState::Running);
        assert_eq!(death(&running(), Some(&again)), None);
    }
}
