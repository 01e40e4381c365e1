//! One node: containerd and the kubelet.

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    cgroup::ControlGroup,
    command,
    control_plane::{ControlPlane, Flags},
    network,
    programs::Program,
};

/// The name of the image that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "docker.io/dasklet/pause:1";

/// A node, by its number. Several live in one network namespace, each with a containerd, a
/// bridge and an address of its own.
#[derive(Clone, Debug)]
pub struct Node {
    number: u8,
    folder: PathBuf,
}

impl Node {
    /// The node of this number, with its data in a folder of the run's.
    pub fn new(number: u8, run: &Path) -> Self {
        Self { number, folder: run.join(format!("n{number}")) }
    }

    /// Its name in the cluster.
    pub fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        let [a, b, c, d] = network::HOST.octets();
        Ipv4Addr::new(a, b, c, d + self.number)
    }

    /// containerd's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// Names of its processes.
    pub fn programs(&self) -> [String; 2] {
        [format!("containerd-{}", self.number), format!("kubelet-{}", self.number)]
    }

    /// Starts containerd and waits until it answers.
    pub async fn start_containerd(&self, plane: &ControlPlane) -> Result<()> {
        fs::create_dir_all(self.folder.join("cni"))?;
        fs::create_dir_all(self.folder.join("manifests"))?;
        self.write("cni/10-bridge.conflist", &self.cni().to_string())?;
        let config = self.write("containerd.toml", &self.containerd())?;
        let [name, _] = self.programs();
        let arguments = [OsStr::new("--config"), config.as_os_str()];
        plane.processes().start(&name, Path::new("/usr/bin/containerd"), arguments, &[])?;
        plane.wait_for(&name, || async { self.ctr(["version"]).map(|_| true) }).await
    }

    /// Loads an image archive.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let arguments = [OsStr::new("images"), OsStr::new("import"), archive.as_os_str()];
        self.ctr(arguments)
            .map(drop)
            .with_context(|| format!("{}: cannot load {}", self.name(), archive.display()))
    }

    /// Starts the kubelet.
    pub fn start_kubelet(&self, plane: &ControlPlane, group: &ControlGroup) -> Result<()> {
        let name = self.name();
        let user = format!("system:node:{name}");
        let kubeconfig = plane.write_kubeconfig(&name, &user, Some("system:nodes"))?;
        let server = plane
            .authority()
            .server(&format!("{name}-server"), &[&name, &self.address().to_string()])?;
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address().to_string(),
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": plane.authority().certificate()},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": server.certificate,
            "tlsPrivateKeyFile": server.key,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": group.path(&name),
            "clusterDomain": "cluster.local",
            "clusterDNS": [network::DNS],
            "containerRuntimeEndpoint": format!("unix://{}", self.socket().display()),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%",
                "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
            "failCgroupV1": false,
            "failSwapOn": false,
            "healthzPort": 0,
            "imageGCHighThresholdPercent": 100,
            "imageMinimumGCAge": "1h",
            "localStorageCapacityIsolation": false,
            "maxPods": 250,
            "nodeStatusReportFrequency": "10s",
            "nodeStatusUpdateFrequency": "2s",
            "podLogsDir": self.folder.join("pod-logs"),
            "registerWithTaints": [],
            "resolvConf": "",
            "serializeImagePulls": false,
            "staticPodPath": self.folder.join("manifests"),
            "syncFrequency": "10s",
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "registryPullQPS": 0,
        });
        let config = self.write("kubelet.json", &config.to_string())?;
        let mut flags = Flags::default();
        flags
            .set("config", config)
            .set("kubeconfig", kubeconfig)
            .set("hostname-override", &name)
            .set("node-ip", self.address().to_string())
            .set("root-dir", self.folder.join("kubelet"))
            .set("cert-dir", self.folder.join("kubelet/pki"));
        let [_, program] = self.programs();
        plane.processes().start(&program, &Program::Kubelet.ensure()?, flags.0, &[]).map(drop)
    }

    /// Runs containerd's own client on this node.
    pub fn ctr<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let socket = self.socket();
        let mut command = std::process::Command::new("ctr");
        command.arg("-a").arg(socket).args(["-n", "k8s.io"]).args(arguments);
        command::run(&mut command)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn cni(&self) -> serde_json::Value {
        let number = self.number;
        json!({
            "cniVersion": "1.0.0",
            "name": format!("pods-{number}"),
            "plugins": [
                {
                    "type": "bridge", "bridge": format!("pods{number}"),
                    "isGateway": true, "ipMasq": false, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": self.folder.join("addresses"),
                        "ranges": [[{"subnet": format!("10.244.{number}.0/24")}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        })
    }

    fn containerd(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"version = 2
root = "{folder}/containerd"
state = "{folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{folder}/containerd.sock"
[ttrpc]
address = "{folder}/containerd.ttrpc.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
stream_server_address = "{address}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
"#,
            address = self.address(),
        )
    }
}
