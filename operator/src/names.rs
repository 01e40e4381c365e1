//! Names, labels, annotations and finalizers, in one place.

use dasklet_api::names as api;
pub use dasklet_api::names::KOPF_FINALIZER;

/// Label: the cluster that an object belongs to.
pub const CLUSTER_NAME: &str = api::CLUSTER_LABEL;
/// Label: the worker group of a worker.
pub const GROUP_NAME: &str = api::GROUP_LABEL;
/// Label: what an object is, see [`component`].
pub const COMPONENT: &str = api::COMPONENT_LABEL;
/// Label: the job of a runner pod.
pub const JOB_NAME: &str = "dask.org/job-name";
/// Label of everything that this operator makes.
pub const MANAGED_BY: &str = api::MANAGED_BY_LABEL;
/// Value of [`MANAGED_BY`].
pub const DASKLET: &str = api::MANAGED_BY;

/// Values of [`COMPONENT`].
pub mod component {
    use dasklet_api::names::Component;

    /// The scheduler's deployment, pod and service.
    pub const SCHEDULER: &str = Component::Scheduler.as_str();
    /// A worker group.
    pub const GROUP: &str = Component::WorkerGroup.as_str();
    /// A worker.
    pub const WORKER: &str = Component::Worker.as_str();
    /// A job's runner pod.
    pub const RUNNER: &str = Component::JobRunner.as_str();
}

/// Annotation: fingerprint of the template that an object was made from.
pub const TEMPLATE: &str = api::TEMPLATE_HASH_ANNOTATION;
/// Annotation of a worker: it is to be drained, see [`crate::plan::Intent`].
pub const DRAIN: &str = api::DRAIN_ANNOTATION;
/// Annotation of a worker: its drain was called back, with the time in microseconds.
pub const KEPT: &str = "dask.org/kept";
/// Annotation of a group: the replicas of the cluster's spec that were handed on to it last.
pub const PROPAGATED: &str = api::PROPAGATED_REPLICAS_ANNOTATION;
/// Annotation that people change to wake a hibernating cluster.
pub const WAKE: &str = api::WAKE_ANNOTATION;
/// Annotation of a scheduler's deployment: its cluster hibernates; the value that [`WAKE`] had.
pub const HIBERNATED: &str = "dask.org/hibernated";
/// Annotation of a cluster that was made by dask-kubernetes and is ours now.
pub const TAKEN_OVER: &str = "dask.org/taken-over-from";
/// Annotation of a runner pod: which life of the scheduler it was made for.
pub const SCHEDULER_LIFE: &str = "dask.org/scheduler-life";
/// Annotation of a runner pod: the workload, read by its container as a file.
pub const WORKLOAD: &str = "dask.org/workload";

/// The scheduler's deployment and service.
#[must_use]
pub fn scheduler(cluster: &str) -> String {
    format!("{cluster}-scheduler")
}

/// The group of the cluster's `spec.worker`.
#[must_use]
pub fn default_group(cluster: &str) -> String {
    format!("{cluster}-default")
}

/// A further group of a cluster.
#[must_use]
pub fn group(cluster: &str, name: &str) -> String {
    format!("{cluster}-{name}")
}

/// A worker's pod.
#[must_use]
pub fn worker(group: &str, slot: u32) -> String {
    format!("{group}-worker-{slot}")
}

/// The slot of a worker's pod that has such a name.
#[must_use]
pub fn slot(group: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(group)?.strip_prefix("-worker-")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && plain).then(|| digits.parse().ok()).flatten()
}

/// A job's runner pod of the given attempt, which counts from 1.
#[must_use]
pub fn runner(job: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => format!("{job}-runner"),
        further => format!("{job}-runner-{further}"),
    }
}

/// The label selector of a group's workers.
#[must_use]
pub fn worker_selector(cluster: &str, group: &str) -> String {
    format!("{CLUSTER_NAME}={cluster},{GROUP_NAME}={group},{COMPONENT}={}", component::WORKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_read_back_from_names() {
        for (pod, expected) in [
            ("g-worker-0", Some(0)),
            ("g-worker-17", Some(17)),
            ("g-worker-017", None),
            ("g-worker-", None),
            ("g-worker-+1", None),
            ("g-worker-a1b2c3d4e5", None),
            ("g-worker-99999999999", None),
            ("other-worker-1", None),
        ] {
            assert_eq!(slot("g", pod), expected, "{pod}");
        }
        assert_eq!(slot("g", &worker("g", 42)), Some(42));
    }
}
