//! The whole form: control plane, nodes with containers, services and name server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client, api::ListParams};

use crate::{
    cgroup::ControlGroup,
    control_plane::{Addresses, ControlPlane, Options},
    debian, dns, fake_nodes, image, network,
    node::Node,
    programs::{self, Program},
    proxy,
    run_folder::{Owner, RunFolder},
};

/// A running cluster. It fills the namespaces of this process, see [`crate::namespaces`].
#[derive(Debug)]
pub struct Cluster {
    plane: ControlPlane,
    nodes: Vec<Node>,
}

/// Builds and installs all that a cluster needs: minutes, the first time.
pub fn prepare() -> Result<()> {
    debian::ensure()?;
    for program in programs::ALL {
        program.ensure()?;
    }
    image::pause::ensure().map(drop)
}

impl Cluster {
    /// Starts one with its data in `folder`, which belongs to `owner` and so does the control
    /// group, and waits until its nodes are ready.
    pub async fn start(folder: &Path, owner: Owner, nodes: u8) -> Result<Self> {
        if nodes == 0 {
            bail!("a cluster needs a node: ask for one or more");
        }
        let nodes: Vec<_> = (0..nodes).map(|number| Node::new(number, folder)).collect();
        network::set_up(&nodes)?;
        let group = ControlGroup::of(owner);
        group.create(&nodes.iter().map(Node::name).collect::<Vec<_>>())?;

        let options = Options { fake_nodes: 0, ..Options::default() };
        let addresses = Addresses::usual(network::HOST);
        let plane = ControlPlane::start_in(RunFolder::lent(folder), addresses, &options).await?;
        let client = plane.client().await?;
        let pause = image::pause::ensure()?;
        for node in &nodes {
            node.start_containerd(&plane).await?;
            node.load_image(&pause)?;
            node.start_kubelet(&plane, &group)?;
        }
        proxy::start(&plane, &nodes[0])?;
        dns::start(&plane, &client).await?;
        let cluster = Self { plane, nodes };
        cluster.wait_for_nodes(&client).await?;
        Ok(cluster)
    }

    /// The kubeconfig of a user who may do anything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    async fn wait_for_nodes(&self, client: &Client) -> Result<()> {
        let objects: Api<NodeObject> = Api::all(client.clone());
        for node in &self.nodes {
            let ready = || async {
                let found = objects.list(&ListParams::default()).await?.items;
                let named = |found: &&NodeObject| found.metadata.name == Some(node.name());
                Ok(found.iter().find(named).is_some_and(fake_nodes::is_ready))
            };
            let [containerd, kubelet] = node.programs();
            self.plane.wait_for(&kubelet, ready).await.with_context(|| {
                format!(
                    "the end of containerd's log:\n{}",
                    self.plane.processes().tail(&containerd)
                )
            })?;
        }
        for program in [Program::KubeProxy, Program::CoreDns] {
            self.plane.processes().check(program.name())?;
        }
        Ok(())
    }
}
