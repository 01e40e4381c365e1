//! The scheduler's service.

use dasklet_api::SchedulerSpec;
use serde_json::{Value, json};

use super::{
    fingerprint,
    metadata::{Parent, propagated},
};
use crate::{
    names::{self, component},
    observe::Meta,
};

/// The service, with a fingerprint of its spec among its annotations.
#[must_use]
pub fn service(cluster: &Meta, spec: Option<&SchedulerSpec>) -> (Value, String) {
    let parent = Parent { kind: "DaskCluster", meta: cluster };
    let part = spec.and_then(|scheduler| scheduler.metadata.as_ref());
    let base =
        [(names::CLUSTER_NAME, cluster.name.as_str()), (names::COMPONENT, component::SCHEDULER)];
    let mut metadata = propagated(&parent, part, &names::scheduler(&cluster.name), &base);
    let spec = match spec.and_then(|scheduler| scheduler.service.as_ref()) {
        Some(service) => service.clone(),
        None => json!({
            "type": "ClusterIP",
            // Workers that start with the scheduler need not wait for its readiness.
            "publishNotReadyAddresses": true,
            "selector": {
                names::CLUSTER_NAME: cluster.name,
                names::COMPONENT: component::SCHEDULER,
            },
            "ports": [
                {"name": "tcp-comm", "protocol": "TCP", "port": 8786, "targetPort": "tcp-comm"},
                {"name": "http-dashboard", "protocol": "TCP", "port": 8787,
                 "targetPort": "http-dashboard"},
            ],
        }),
    };
    let mark = fingerprint(&json!([spec, metadata["labels"]]));
    metadata["annotations"][names::TEMPLATE] = json!(mark);
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    (service, mark)
}
