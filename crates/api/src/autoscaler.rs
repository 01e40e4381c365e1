//! `DaskAutoscaler`: the same as `autoscale` of a group, as an object of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    autoscale::{AutoscaleMode, AutoscaleSpec, BehaviorSpec},
    condition::Condition,
    metadata::Resource,
};

/// Makes a group of a cluster scale itself.
pub type DaskAutoscaler = Resource<DaskAutoscalerSpec, DaskAutoscalerStatus>;

/// How the group scales.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaskAutoscalerSpec {
    /// The cluster's name.
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
    pub conditions: Vec<Condition>,
}
