//! Types and reasons of conditions. A reason names one state that a person can look up; the
//! message beside it names the object and the remedy.

/// The spec is valid; otherwise the last valid one keeps running.
pub const ACCEPTED: &str = "Accepted";
/// The API server takes the pod and service templates.
pub const TEMPLATES_VALID: &str = "TemplatesValid";
/// The scheduler serves.
pub const SCHEDULER_READY: &str = "SchedulerReady";
/// As many workers serve as are wanted.
pub const WORKERS_READY: &str = "WorkersReady";
/// All of it; `kubectl get` shows its reason.
pub const READY: &str = "Ready";
/// The present state is on its way to the wanted one.
pub const PROGRESSING: &str = "Progressing";
/// It was suspended, or hibernates.
pub const SUSPENDED: &str = "Suspended";
/// Of an autoscaler: its group follows it; `kubectl get` shows its reason.
pub const ACTIVE: &str = "Active";
/// Of a group: an autoscaler overrides its own `autoscale`.
pub const OVERRIDDEN: &str = "AutoscaleOverridden";
/// Of a job: its cluster can run it.
pub const CLUSTER_READY: &str = "ClusterReady";
/// Of a job: it runs.
pub const RUNNING: &str = "Running";
/// Of a job: it ended well. While it has not, the condition is `False` and its reason says why;
/// `kubectl get` shows that reason.
pub const COMPLETE: &str = "Complete";
/// Of a job: it failed for good.
pub const FAILED: &str = "Failed";

/// Reasons, for all types.
pub mod reason {
    /// Nothing is wrong.
    pub const VALID: &str = "Valid";
    /// A rule is broken; the message lists all of them.
    pub const INVALID: &str = "Invalid";
    /// It serves.
    pub const SERVING: &str = "Serving";
    /// It has not begun to serve.
    pub const STARTING: &str = "Starting";
    /// As many as wanted.
    pub const ENOUGH: &str = "AsWanted";
    /// More are on their way.
    pub const SCALING_UP: &str = "ScalingUp";
    /// Some are on their way out.
    pub const DRAINING: &str = "Draining";
    /// The user suspended it.
    pub const SUSPENDED: &str = "Suspended";
    /// It was idle and hibernates.
    pub const HIBERNATING: &str = "Hibernating";
    /// The object that is named does not exist.
    pub const NOT_FOUND: &str = "NotFound";

    /// The API server refuses a template.
    pub const TEMPLATE_REFUSED: &str = "TemplateRefused";
    /// An image cannot be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// A quota does not allow a pod.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// No node has room for a pod.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// A container ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// The scheduler's pod runs, but does not answer.
    pub const SCHEDULER_UNREACHABLE: &str = "SchedulerUnreachable";
    /// A pod did not serve before its deadline.
    pub const START_DEADLINE_EXCEEDED: &str = "StartDeadlineExceeded";
    /// A dask-kubernetes operator still writes.
    pub const OTHER_OPERATOR: &str = "OtherOperatorActive";

    /// The job waits for its cluster.
    pub const WAITING_FOR_CLUSTER: &str = "WaitingForCluster";
    /// The job runs.
    pub const RUNNING: &str = "Running";
    /// An attempt failed and another follows.
    pub const RETRYING: &str = "Retrying";
    /// The job ended well.
    pub const SUCCEEDED: &str = "Succeeded";
    /// All attempts failed.
    pub const BACKOFF_LIMIT_EXCEEDED: &str = "BackoffLimitExceeded";
    /// The job took too long.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
}
