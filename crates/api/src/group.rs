//! `DaskWorkerGroup`: workers of one kind.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::{Condition, LastDecision},
    worker::WorkerSpec,
};

/// What is wanted of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "kubernetes.dask.org",
    version = "v1",
    kind = "DaskWorkerGroup",
    plural = "daskworkergroups",
    shortname = "daskworkers",
    namespaced,
    status = "DaskWorkerGroupStatus",
    doc = "Workers of one kind, in a cluster.",
    derive = "PartialEq",
    derive = "Default",
    crates(kube_core = "::kube_core"),
    scale(
        spec_replicas_path = ".spec.worker.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster", priority = 1),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Starting",
        type_ = "integer",
        json_path = ".status.startingReplicas",
        priority = 1
    ),
    printcolumn(
        name = "Draining",
        type_ = "integer",
        json_path = ".status.drainingReplicas",
        priority = 1
    ),
    printcolumn(
        name = "Decision",
        type_ = "string",
        json_path = ".status.lastDecision.reason",
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
#[schemars(extend("x-kubernetes-validations" = crate::rules::group()))]
pub struct DaskWorkerGroupSpec {
    /// The cluster's name.
    #[schemars(length(min = 1, max = 253))]
    pub cluster: String,
    /// The workers.
    pub worker: WorkerSpec,
}

/// What is of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DaskWorkerGroupStatus {
    /// Workers that exist.
    pub replicas: u32,
    /// Those that serve.
    pub ready_replicas: u32,
    /// Those that start.
    pub starting_replicas: u32,
    /// Those being drained.
    pub draining_replicas: u32,
    /// The size decided.
    pub desired_replicas: u32,
    /// Label selector of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The spec's generation that this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
}
