//! CoreDNS, as a plain process, and the service that pods reach it by.

use std::fs;

use anyhow::{Context, Result};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

use crate::{control_plane::ControlPlane, network, programs::Program};

/// Starts it, and creates `kube-dns` in `kube-system`.
pub async fn start(plane: &ControlPlane, client: &Client) -> Result<()> {
    let kubeconfig = plane.write_kubeconfig("coredns", "coredns", Some("system:masters"))?;
    let corefile = plane.folder().join("Corefile");
    let text = format!(
        ".:53 {{
    bind {host}
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
",
        host = network::HOST,
        kubeconfig = kubeconfig.display(),
    );
    fs::write(&corefile, text).context("cannot write the Corefile")?;
    let program = Program::CoreDns.ensure()?;
    let arguments = ["-conf".into(), corefile.into_os_string()];
    plane.processes().start(Program::CoreDns.name(), &program, arguments, &[])?;

    let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]);
    // Without a selector: its endpoint is ours to say.
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "kube-dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": network::DNS, "ports": ports},
    }))?;
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "kube-dns", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network::HOST], "conditions": {"ready": true}}],
        "ports": ports,
    }))?;
    let post = PostParams::default();
    Api::namespaced(client.clone(), "kube-system").create(&post, &service).await?;
    Api::namespaced(client.clone(), "kube-system").create(&post, &slice).await?;
    Ok(())
}
