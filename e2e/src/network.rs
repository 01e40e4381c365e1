//! The network of the whole form, in a namespace where every address is ours.

use std::fs;

use anyhow::{Context, Result};

use crate::{command, node::Node};

/// The control plane's and the first node's address.
pub const HOST: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 200, 0, 1);
/// The addresses of all pods.
pub const PODS: &str = "10.244.0.0/16";
/// The address of the cluster's name server as pods see it.
pub const DNS: &str = "10.96.0.10";

/// Gives the namespace its interface, addresses and routes.
pub fn set_up(nodes: &[Node]) -> Result<()> {
    ip("link set lo up")?;
    // A veth pair with both ends in here, as there may be no `dummy` driver.
    ip("link add node0 type veth peer name node1")?;
    for node in nodes {
        ip(&format!("addr add {}/24 dev node0", node.address()))?;
    }
    ip("link set node0 up")?;
    ip("link set node1 up")?;
    // A packet without a route is dropped before the service rules could rewrite it, so there is
    // one, to nowhere.
    ip("route add default via 10.200.0.254")?;
    for (setting, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/bridge/bridge-nf-call-iptables", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
    ] {
        let path = format!("/proc/sys/{setting}");
        // The bridge setting belongs to a module that may be built in, loaded or not there.
        if setting.starts_with("net/ipv4") || fs::exists(&path)? {
            fs::write(&path, value).with_context(|| format!("cannot set {setting}"))?;
        }
    }
    Ok(())
}

fn ip(arguments: &str) -> Result<()> {
    command::output("ip", arguments.split_whitespace()).map(drop)
}
