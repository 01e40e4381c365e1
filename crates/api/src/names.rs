//! The names that dask-kubernetes' users and tools know, and ours beside them: labels,
//! annotations, and the engine's image.

/// The cluster that an object belongs to.
pub const CLUSTER_LABEL: &str = "dask.org/cluster-name";
/// The worker group that a worker belongs to.
pub const GROUP_LABEL: &str = "dask.org/workergroup-name";
/// What an object is for its cluster: a [`Component`].
pub const COMPONENT_LABEL: &str = "dask.org/component";
/// Who made an object; its value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`] on what the operator made.
pub const MANAGED_BY: &str = "dasklet";

/// On a cluster: a changed value wakes it from hibernation.
pub const WAKE_ANNOTATION: &str = "dask.org/wake";
/// On a worker's pod: it is being drained; since when and why, as JSON. Written before anything is
/// done about it, so that a restarted operator carries on.
pub const DRAIN_ANNOTATION: &str = "dask.org/drain";
/// On a default group: the cluster's `spec.worker.replicas` that was passed on to it last.
pub const PROPAGATED_REPLICAS_ANNOTATION: &str = "dask.org/propagated-replicas";
/// On a pod, a service or a deployment: a hash of the template that it was made from.
pub const TEMPLATE_HASH_ANNOTATION: &str = "dask.org/template-hash";

/// The finalizer that dask-kubernetes leaves on clusters and autoscalers; nobody but us removes it
/// once that operator has gone.
pub const KOPF_FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

/// The engine's image without its tag: schedulers, workers and runners of native workloads.
pub const ENGINE_IMAGE: &str = "docker.io/dasklet/engine";

/// The default group's name within its cluster.
pub const DEFAULT_GROUP: &str = "default";

/// What an object is for its cluster; the values of [`COMPONENT_LABEL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The scheduler's deployment, pod and service.
    Scheduler,
    /// A worker group that the operator made.
    WorkerGroup,
    /// A worker's pod, or its deployment where dask-kubernetes made it.
    Worker,
    /// A job's runner pod.
    JobRunner,
}

impl Component {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::WorkerGroup => "workergroup",
            Self::Worker => "worker",
            Self::JobRunner => "job-runner",
        }
    }
}
