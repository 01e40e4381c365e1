//! `DaskCluster`: a scheduler and its workers.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    condition::Condition,
    metadata::PartMetadata,
    worker::{NamedWorkerSpec, WorkerSpec},
};

/// What is wanted of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "kubernetes.dask.org",
    version = "v1",
    kind = "DaskCluster",
    plural = "daskclusters",
    shortname = "daskcluster",
    shortname = "dsk",
    namespaced,
    status = "DaskClusterStatus",
    doc = "A scheduler and its workers.",
    derive = "PartialEq",
    derive = "Default",
    crates(kube_core = "::kube_core"),
    scale(
        spec_replicas_path = ".spec.worker.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Address",
        type_ = "string",
        json_path = ".status.schedulerAddress",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct DaskClusterSpec {
    /// Seconds without work before `idleAction`; 0: never. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u64>,
    /// What happens to an idle cluster. Default `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_action: Option<IdleAction>,
    /// Drain, then remove all pods; false brings them back. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// The scheduler. Default: the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerSpec>,
    /// The group `<cluster>-default`.
    #[serde(default)]
    pub worker: WorkerSpec,
    /// Further groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub worker_groups: Option<Vec<NamedWorkerSpec>>,
}

/// What happens to an idle cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdleAction {
    /// It is deleted.
    Delete,
    /// Its groups go to their minimum.
    ScaleToMinimum,
    /// All its pods go; it wakes when there is something to do.
    Hibernate,
}

/// The scheduler's pod and service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulerSpec {
    /// Labels and annotations of what is made for the scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PartMetadata>,
    /// The whole pod spec. Default: the engine's image and arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::pod_spec")]
    pub spec: Option<Value>,
    /// The service's spec. Default: a `ClusterIP` with `tcp-comm` 8786 and `http-dashboard` 8787.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::service_spec")]
    pub service: Option<Value>,
}

/// What is of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DaskClusterStatus {
    /// `Created`, `Pending`, `Running`, `Error` or `Suspended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Workers of the default group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Those that serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<u32>,
    /// Label selector of the default group's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The spec's generation that this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Where clients connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_address: Option<String>,
    /// Where people look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard_address: Option<String>,
}
