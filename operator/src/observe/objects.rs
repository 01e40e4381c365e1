//! The other kinds, each with what decisions read of it.

use dasklet_api::{
    DaskAutoscalerSpec, DaskAutoscalerStatus, DaskClusterSpec, DaskClusterStatus, DaskJobSpec,
    DaskJobStatus, DaskWorkerGroupSpec, DaskWorkerGroupStatus,
};

use super::Meta;

/// One of our own kinds. A spec that cannot be read is kept as the reason, so that one bad object
/// stops nobody else.
#[derive(Debug, Clone, PartialEq)]
pub struct Custom<Spec, Status> {
    /// Its metadata.
    pub meta: Meta,
    /// What is wanted, or why that cannot be read.
    pub spec: Result<Spec, String>,
    /// Every broken rule of the spec, with its path.
    pub problems: Vec<String>,
    /// What the operator last wrote.
    pub status: Status,
}

impl<Spec, Status> Custom<Spec, Status> {
    /// Why the spec cannot be acted upon; `None`: it can.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match &self.spec {
            Err(words) => Some(format!("the spec cannot be read: {words}")),
            Ok(_) if self.problems.is_empty() => None,
            Ok(_) => Some(self.problems.join("; ")),
        }
    }
}

/// A `DaskCluster`.
pub type ClusterObject = Custom<DaskClusterSpec, DaskClusterStatus>;
/// A `DaskWorkerGroup`.
pub type GroupObject = Custom<DaskWorkerGroupSpec, DaskWorkerGroupStatus>;
/// A `DaskAutoscaler`.
pub type AutoscalerObject = Custom<DaskAutoscalerSpec, DaskAutoscalerStatus>;
/// A `DaskJob`.
pub type JobObject = Custom<DaskJobSpec, DaskJobStatus>;

/// A deployment: a scheduler's, or a worker's that dask-kubernetes made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Its metadata.
    pub meta: Meta,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Labels by which it finds its pods.
    pub selector: std::collections::BTreeMap<String, String>,
    /// Why it cannot make its pods: the message of its condition `ReplicaFailure`.
    pub failure: Option<String>,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its metadata.
    pub meta: Meta,
    /// `spec.type`.
    pub kind: String,
    /// Its ports by name.
    pub ports: Vec<(String, u16)>,
    /// Addresses that a load balancer gave it.
    pub ingress: Vec<String>,
}

impl Service {
    /// The port of a name, or the number itself.
    #[must_use]
    pub fn port(&self, name: &str, default: u16) -> u16 {
        let named = self.ports.iter().find(|(port, _)| port == name);
        // Services with a single unnamed port, or one named after the service, are found by number.
        named.map_or(default, |(_, number)| *number)
    }

    /// Whether it waits for its load balancer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.kind == "LoadBalancer" && self.ingress.is_empty()
    }
}
