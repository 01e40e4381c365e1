//! The Kubernetes resource types of the group `kubernetes.dask.org`, their validation rules, and
//! what a local run derives from them.
//!
//! Plain serde types without any client of Kubernetes; pod and service specs are kept as they
//! are written. Start with [`Manifest`]: [`parse_documents`] reads a file of several documents,
//! [`lint`] checks what the documents say about each other, [`layout()`] joins them to clusters
//! with their groups and jobs, and [`Workload`] is what a native job runs.

mod autoscale;
mod autoscaler;
mod cluster;
mod condition;
mod diagnostic;
mod group;
mod job;
mod layout;
mod lint;
mod local;
mod locate;
mod manifest;
mod metadata;
mod parse;
mod quantity;
mod suggest;
mod validate;
mod worker;
mod workload;

pub use autoscale::{
    AutoscaleMode, AutoscaleSpec, BehaviorSpec, ScalingPolicySpec, ScalingPolicyType,
    ScalingRulesSpec, SelectPolicySpec,
};
pub use autoscaler::{DaskAutoscaler, DaskAutoscalerSpec, DaskAutoscalerStatus};
pub use cluster::{DaskCluster, DaskClusterSpec, DaskClusterStatus, IdleAction, SchedulerSpec};
pub use condition::{Condition, LastDecision};
pub use diagnostic::{Diagnostic, Severity};
pub use group::{DaskWorkerGroup, DaskWorkerGroupSpec, DaskWorkerGroupStatus};
pub use job::{ClusterTemplate, DaskJob, DaskJobSpec, DaskJobStatus, JobTemplate, ShutdownPolicy};
pub use layout::{Cluster, Group, Job, Layout, group_policies, layout};
pub use lint::{ignored_locally, lint};
pub use local::{LocalWorker, local_worker};
pub use manifest::{Manifest, Object, OtherObject};
pub use metadata::{ObjectMeta, PartMetadata, Resource};
pub use parse::{parse_documents, parse_policy};
pub use quantity::Quantity;
pub use validate::Problem;
pub use worker::{DrainSpec, DrainTimeoutAction, NamedWorkerSpec, WorkerSpec};
pub use workload::{
    Action, Arg, IndexRange, Member, Output, Source, SqlWorkload, Stdin, Table, TableFormat,
    TableSpec, TaskEntry, Workload, WorkloadSpec, WorkloadTask,
};

/// The API group.
pub const GROUP: &str = "kubernetes.dask.org";
/// Its one version.
pub const VERSION: &str = "v1";
