//! What is seen of the cluster: objects with only the fields that decisions read, so that the
//! caches of an operator with thousands of pods stay small. Nothing here knows a client.

mod key;
mod meta;
mod objects;
mod observed;
mod pod;
mod sight;

pub use key::Key;
pub use meta::{Meta, Owner};
pub use objects::{
    AutoscalerObject, ClusterObject, Custom, Deployment, GroupObject, JobObject, Service,
};
pub use observed::Observed;
pub use pod::{Container, ContainerState, Pod, PodPhase};
pub use sight::Sight;
