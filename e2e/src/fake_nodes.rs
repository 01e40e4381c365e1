//! Simulated nodes: kwok says of every pod on them that it runs.

use std::{ffi::OsString, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::json;

use crate::control_plane::Flags;

/// The key of the taint and label of a simulated node.
pub const TAINT: &str = "dasklet.dev/simulated";

/// kwok takes the nodes with this annotation for its own.
const ANNOTATION: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

pub(crate) fn flags(kubeconfig: &Path, host: Ipv4Addr) -> Vec<OsString> {
    let mut flags = Flags::default();
    flags
        .set("kubeconfig", kubeconfig)
        .set("manage-all-nodes", "false")
        .set("manage-nodes-with-annotation-selector", format!("{}={}", ANNOTATION.0, ANNOTATION.1))
        .set("cidr", "10.245.0.0/16")
        // Without a Lease a node that is not heard of for 20 s takes its pods' readiness along.
        .set("node-lease-duration-seconds", "40")
        .set("node-ip", host.to_string());
    flags.0
}

/// Creates `count` nodes, `fake-0` and so on, each for 1,000 pods.
pub async fn create(client: &Client, count: usize, tainted: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let create = |index: usize| {
        let nodes = nodes.clone();
        async move {
            let node = node(&format!("fake-{index}"), tainted)?;
            nodes.create(&PostParams::default(), &node).await.context("cannot create a node")
        }
    };
    stream::iter(0..count).map(create).buffer_unordered(16).try_collect::<Vec<_>>().await?;
    Ok(())
}

fn node(name: &str, tainted: bool) -> Result<Node> {
    let taints = if tainted {
        json!([{"key": TAINT, "value": "true", "effect": "NoSchedule"}])
    } else {
        json!([])
    };
    let capacity = json!({"cpu": "2000", "memory": "8Ti", "pods": "1000",
        "ephemeral-storage": "8Ti"});
    Ok(serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION.0: ANNOTATION.1},
            "labels": {TAINT: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": taints},
        "status": {"capacity": capacity, "allocatable": capacity},
    }))?)
}

/// Whether there is a node, and each is ready.
pub async fn all_ready(client: &Client) -> Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    let found = nodes.list(&ListParams::default()).await?.items;
    Ok(!found.is_empty() && found.iter().all(is_ready))
}

/// Whether a node says that it is ready, and no controller keeps it back.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    ready && !taints.into_iter().flatten().any(|taint| taint.key.starts_with("node.kubernetes.io/"))
}
