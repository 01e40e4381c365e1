//! The names that dask-kubernetes' users and tools know, and ours beside them: labels,
//! annotations, environment variables, ports and fields of managers.

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
/// A worker's slot in its group, on pods that the operator made.
pub const SLOT_LABEL: &str = "dask.org/slot";
/// Keeps Istio's sidecar, which cannot speak Dask's protocol, out of a pod; its value is `"false"`.
pub const ISTIO_INJECT_LABEL: &str = "sidecar.istio.io/inject";

/// On a cluster: a changed value wakes it from hibernation.
pub const WAKE_ANNOTATION: &str = "dask.org/wake";
/// On a worker's pod: it is being drained; since when and why, as JSON. Written before anything is
/// done about it, so that a restarted operator carries on.
pub const DRAIN_ANNOTATION: &str = "dask.org/drain";
/// On a default group: the cluster's `spec.worker.replicas` that was passed on to it last.
pub const PROPAGATED_REPLICAS_ANNOTATION: &str = "dask.org/propagated-replicas";
/// On a pod, a service or a deployment: a hash of the template that it was made from.
pub const TEMPLATE_HASH_ANNOTATION: &str = "dask.org/template-hash";
/// Read by Kubernetes when it picks pods to delete: lower ones go first.
pub const POD_DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The finalizer that dask-kubernetes leaves on clusters and autoscalers; nobody but us removes it
/// once that operator has gone.
pub const KOPF_FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";
/// Annotations with these prefixes belong to one object and are never passed on to others.
pub const PRIVATE_ANNOTATION_PREFIXES: [&str; 2] = ["kopf.zalando.org", "kubectl.kubernetes.io"];
/// What dask-kubernetes leaves on autoscalers: no decision before this time.
pub const LEGACY_COOLDOWN_ANNOTATION: &str = "kubernetes.dask.org/cooldown-until";

/// The environment variable with a worker's name.
pub const WORKER_NAME_ENV: &str = "DASK_WORKER_NAME";
/// The environment variable with the scheduler's address.
pub const SCHEDULER_ADDRESS_ENV: &str = "DASK_SCHEDULER_ADDRESS";

/// Name of the scheduler's port for clients and workers.
pub const COMM_PORT_NAME: &str = "tcp-comm";
/// Number of the scheduler's port for clients and workers.
pub const COMM_PORT: u16 = 8786;
/// Name of the port for HTTP, of schedulers and workers.
pub const DASHBOARD_PORT_NAME: &str = "http-dashboard";
/// Number of the scheduler's port for HTTP.
pub const DASHBOARD_PORT: u16 = 8787;
/// Number of a worker's port for HTTP.
pub const WORKER_DASHBOARD_PORT: u16 = 8788;

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

/// The scheduler's address, as workers and jobs in any namespace reach it. The name of the
/// cluster's domain is left to the pods' DNS settings.
#[must_use]
pub fn scheduler_address(service: &str, namespace: &str) -> String {
    format!("tcp://{service}.{namespace}.svc:{COMM_PORT}")
}

/// Whether an annotation may be passed on to what is made for its object.
#[must_use]
pub fn is_passed_on(annotation: &str) -> bool {
    !PRIVATE_ANNOTATION_PREFIXES.iter().any(|prefix| annotation.starts_with(prefix))
}
