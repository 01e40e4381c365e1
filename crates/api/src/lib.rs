//! The Kubernetes resource types of the group `kubernetes.dask.org`, their validation rules, and
//! what a local run derives from them.
//!
//! The types implement `kube`'s `Resource`, but nothing here talks to a cluster: the crate needs
//! `kube-core` and no client. Pod and service specs are kept as they are written. Start with
//! [`Manifest`]: [`parse_documents`] reads a file of several documents, [`lint`] checks what the
//! documents say about each other, [`layout()`] joins them to clusters with their groups and jobs,
//! and [`Workload`] is what a native job runs. [`crds`] are the definitions for a cluster, and
//! [`names`] and [`conditions`] what all programs call the parts of one.
//!
//! A person's file is read strictly: an unknown field is an error. Objects from a cluster are read
//! leniently, because a newer version may have written them: unknown fields are passed over. A
//! value that does not fit all the same, such as an unknown mode, is an error of that one object:
//! watch `kube::core::DeserializeGuard<DaskCluster>`, so that it does not end the watch of the
//! others, and say so in the log. Whoever got an object from a cluster asks [`Validate`] for what
//! is wrong with it: the API server cannot check all rules.

#![allow(
    clippy::duplicated_attributes,
    reason = "two columns of a definition may have the same type"
)]

mod autoscale;
mod autoscaler;
mod checked;
mod cluster;
mod condition;
pub mod conditions;
mod crd;
mod diagnostic;
mod group;
mod job;
mod layout;
mod lint;
mod local;
mod locate;
mod manifest;
mod metadata;
pub mod names;
mod parse;
mod quantity;
mod reference;
mod rules;
mod schema;
mod strict;
mod suggest;
mod validate;
mod worker;
mod workload;

pub use autoscale::{
    AutoscaleMode, AutoscaleSpec, BehaviorSpec, ScalingPolicySpec, ScalingPolicyType,
    ScalingRulesSpec, SelectPolicySpec,
};
pub use autoscaler::{DaskAutoscaler, DaskAutoscalerSpec, DaskAutoscalerStatus};
pub use checked::{BadName, ClusterName, GroupName, JobName, LONGEST_CLUSTER_NAME, LONGEST_LABEL};
pub use cluster::{DaskCluster, DaskClusterSpec, DaskClusterStatus, IdleAction, SchedulerSpec};
pub use condition::{Condition, LastDecision};
pub use crd::{crd_yaml, crds};
pub use diagnostic::{Diagnostic, Severity};
pub use group::{DaskWorkerGroup, DaskWorkerGroupSpec, DaskWorkerGroupStatus};
pub use job::{ClusterTemplate, DaskJob, DaskJobSpec, DaskJobStatus, JobTemplate, ShutdownPolicy};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
pub use layout::{Cluster, Group, Job, Layout, group_policies, layout};
pub use lint::{ignored_locally, lint};
pub use local::{LocalWorker, local_worker};
pub use manifest::{Manifest, Object, OtherObject};
pub use metadata::PartMetadata;
pub use parse::{parse_documents, parse_policy};
pub use quantity::Quantity;
pub use reference::reference;
pub use validate::{Problem, Validate};
pub use worker::{DrainSpec, DrainTimeoutAction, NamedWorkerSpec, WorkerSpec};
pub use workload::{
    Action, Arg, IndexRange, Member, Output, Source, SqlWorkload, Stdin, Table, TableFormat,
    TableSpec, TaskEntry, Workload, WorkloadSpec, WorkloadTask,
};

/// The API group.
pub const GROUP: &str = "kubernetes.dask.org";
/// Its one version.
pub const VERSION: &str = "v1";
