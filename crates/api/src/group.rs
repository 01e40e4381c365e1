//! `DaskWorkerGroup`: workers of one kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::{Condition, LastDecision},
    metadata::Resource,
    worker::WorkerSpec,
};

/// Workers of one kind, in a cluster.
pub type DaskWorkerGroup = Resource<DaskWorkerGroupSpec, DaskWorkerGroupStatus>;

/// What is wanted of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaskWorkerGroupSpec {
    /// The cluster's name.
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
    pub conditions: Vec<Condition>,
    /// The last decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
}
