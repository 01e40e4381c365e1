//! `DaskAutoscaler`: the same as `autoscale` of a group, as an object of its own.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    autoscale::{AutoscaleMode, AutoscaleSpec, BehaviorSpec},
    condition::Condition,
};

/// How the group scales.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "kubernetes.dask.org",
    version = "v1",
    kind = "DaskAutoscaler",
    plural = "daskautoscalers",
    namespaced,
    status = "DaskAutoscalerStatus",
    doc = "Makes a group of a cluster scale itself.",
    derive = "PartialEq",
    derive = "Default",
    crates(kube_core = "::kube_core"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster"),
    printcolumn(name = "Minimum", type_ = "integer", json_path = ".spec.minimum"),
    printcolumn(name = "Maximum", type_ = "integer", json_path = ".spec.maximum"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Active')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Active')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::rules::autoscaler()))]
pub struct DaskAutoscalerSpec {
    /// The cluster's name.
    #[schemars(length(min = 1, max = 253))]
    pub cluster: String,
    /// Never fewer workers. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u32>,
    /// Never more workers.
    pub maximum: u32,
    /// The group's full name, or its name within the cluster. Default: the default group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_group: Option<String>,
    /// Act, advise or pause. Default `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AutoscaleMode>,
    /// Work queued on the group should finish within this. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::rules::positive_seconds()))]
    pub target_duration_seconds: Option<f64>,
    /// How fast the size may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<BehaviorSpec>,
}

impl DaskAutoscalerSpec {
    /// The `autoscale` that this stands for; what it cannot say stays as the group says it.
    #[must_use]
    pub fn autoscale(&self, of_group: Option<&AutoscaleSpec>) -> AutoscaleSpec {
        AutoscaleSpec {
            min_replicas: self.minimum,
            max_replicas: self.maximum,
            mode: self.mode,
            target_duration_seconds: self.target_duration_seconds,
            behavior: self.behavior.clone(),
            start_deadline_seconds: of_group.and_then(|group| group.start_deadline_seconds),
            priority: of_group.and_then(|group| group.priority),
        }
    }
}

/// What is of an autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DaskAutoscalerStatus {
    /// The spec's generation that this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
