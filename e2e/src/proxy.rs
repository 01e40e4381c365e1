//! kube-proxy: the addresses of services.

use anyhow::Result;

use crate::{
    control_plane::{ControlPlane, Flags},
    network,
    node::Node,
    programs::Program,
};

/// Starts it. One serves all nodes, as they share a network namespace.
pub fn start(plane: &ControlPlane, node: &Node) -> Result<()> {
    let kubeconfig = plane.write_kubeconfig("kube-proxy", "system:kube-proxy", None)?;
    let mut flags = Flags::default();
    flags
        .set("kubeconfig", kubeconfig)
        .set("proxy-mode", "iptables")
        .set("cluster-cidr", network::PODS)
        .set("hostname-override", node.name())
        .set("bind-address", node.address().to_string())
        .set("healthz-bind-address", "127.0.0.1:10256")
        .set("metrics-bind-address", "127.0.0.1:10249")
        // Settings of the whole machine are left as they are.
        .set("conntrack-max-per-core", "0")
        .set("conntrack-tcp-timeout-established", "0")
        .set("conntrack-tcp-timeout-close-wait", "0")
        .set("iptables-min-sync-period", "50ms");
    let program = Program::KubeProxy.ensure()?;
    plane.processes().start(Program::KubeProxy.name(), &program, flags.0, &[]).map(drop)
}
