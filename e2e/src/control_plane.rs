//! etcd, the API server and what runs beside them.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use crate::{
    fake_nodes, kubeconfig, pki::Authority, process::Processes, programs::Program,
    run_folder::RunFolder,
};

/// How long each part may take to answer before the start is given up.
const START: Duration = Duration::from_secs(90);

/// What a control plane has beside etcd and the API server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kubernetes' controllers: garbage collection, Deployments, service accounts, namespaces.
    pub controllers: bool,
    /// Kubernetes' scheduler. Without it a pod runs only where its `nodeName` says.
    pub scheduler: bool,
    /// Simulated nodes, named `fake-0` and so on: pods on them become Running and Ready at once,
    /// with no container. They carry the taint of [`fake_nodes::TAINT`] if `tainted`.
    pub fake_nodes: usize,
    /// Whether the simulated nodes refuse pods that do not tolerate them.
    pub tainted: bool,
}

impl Default for Options {
    /// Everything, and one simulated node that takes any pod.
    fn default() -> Self {
        Self { controllers: true, scheduler: true, fake_nodes: 1, tainted: false }
    }
}

/// Where a control plane listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The address that is bound and told to others.
    pub host: Ipv4Addr,
    /// The API server's port.
    pub api: u16,
    etcd: u16,
    etcd_peers: u16,
    controllers: u16,
    scheduler: u16,
}

impl Addresses {
    /// Loopback, with ports that are free now.
    pub fn free() -> Result<Self> {
        let host = Ipv4Addr::LOCALHOST;
        // All are held until all are known, so that none is given twice.
        let held: Vec<_> = (0..5)
            .map(|_| TcpListener::bind((host, 0)))
            .collect::<std::io::Result<_>>()
            .context("no free port on loopback")?;
        let mut ports = held.iter().map(|listener| listener.local_addr().map(|at| at.port()));
        let mut next = || ports.next().context("five ports")?.context("a bound port");
        Ok(Self {
            host,
            api: next()?,
            etcd: next()?,
            etcd_peers: next()?,
            controllers: next()?,
            scheduler: next()?,
        })
    }

    /// The usual ports on an address of a network namespace that is all ours.
    pub fn usual(host: Ipv4Addr) -> Self {
        Self { host, api: 6443, etcd: 2379, etcd_peers: 2380, controllers: 10257, scheduler: 10259 }
    }

    /// The API server's URL.
    pub fn server(&self) -> String {
        format!("https://{}:{}", self.host, self.api)
    }
}

/// A running control plane. Dropping it, or the death of this process, ends it and removes its
/// data.
#[derive(Debug)]
pub struct ControlPlane {
    // The order is that of their end: processes before their files.
    processes: Processes,
    authority: Authority,
    addresses: Addresses,
    folder: RunFolder,
}

impl ControlPlane {
    /// Starts one on loopback and waits until it serves. The programs are built at first use,
    /// which takes minutes; later it takes about five seconds.
    pub async fn start(options: &Options) -> Result<Self> {
        let mut wanted = vec![Program::Etcd, Program::ApiServer];
        if options.controllers {
            wanted.push(Program::ControllerManager);
        }
        if options.scheduler {
            wanted.push(Program::Scheduler);
        }
        if options.fake_nodes > 0 {
            wanted.push(Program::Kwok);
        }
        tokio::task::spawn_blocking(move || {
            wanted.into_iter().try_for_each(|program| program.ensure().map(drop))
        })
        .await??;
        Self::start_in(RunFolder::new()?, Addresses::free()?, options).await
    }

    /// Starts one with its data in `folder`, at given addresses.
    pub async fn start_in(
        folder: RunFolder,
        addresses: Addresses,
        options: &Options,
    ) -> Result<Self> {
        let authority = Authority::new(&folder.path().join("pki"))?;
        let processes = Processes::new(&folder.path().join("logs"))?;
        let plane = Self { processes, authority, addresses, folder };
        plane.start_etcd()?;
        plane.start_api_server()?;
        plane.write_kubeconfig("admin", "admin", Some("system:masters"))?;
        let client = plane.client().await?;
        plane.wait_for("kube-apiserver", || ready(&client)).await?;
        if options.controllers {
            plane.start_controllers()?;
        }
        if options.scheduler {
            plane.start_scheduler()?;
        }
        if options.controllers {
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
            let made = || async { Ok(accounts.get_opt("default").await?.is_some()) };
            plane.wait_for("kube-controller-manager", made).await?;
        }
        if options.fake_nodes > 0 {
            plane.start_fake_nodes()?;
            fake_nodes::create(&client, options.fake_nodes, options.tainted).await?;
            plane.wait_for("kwok", || fake_nodes::all_ready(&client)).await?;
        }
        Ok(plane)
    }

    /// The kubeconfig of a user who may do anything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    /// A new client for that user. One belongs to the Tokio runtime that it was made in.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig()).await
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The folder of its data and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its processes, by the names of their programs.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// What signs certificates for it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Writes the kubeconfig `<name>.kubeconfig` for a user, and returns its path.
    pub fn write_kubeconfig(&self, name: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let identity = self.authority.client(name, user, group)?;
        let path = self.kubeconfig_of(name);
        kubeconfig::write(&path, &self.addresses.server(), &self.authority, &identity)?;
        Ok(path)
    }

    /// Polls until `done`, or until the program has ended or the time is over.
    pub async fn wait_for<F>(&self, program: &str, done: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = Result<bool>>,
    {
        let deadline = Instant::now() + START;
        loop {
            let outcome = done().await;
            if let Ok(true) = outcome {
                return Ok(());
            }
            self.processes.check(program)?;
            if Instant::now() > deadline {
                let reason = outcome.err().map_or_else(String::new, |error| format!(": {error:#}"));
                let tail = self.processes.tail(program);
                bail!("{program} was not ready after {} s{reason}\n{tail}", START.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn kubeconfig_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.kubeconfig"))
    }

    fn start_etcd(&self) -> Result<()> {
        let at = |port| format!("http://127.0.0.1:{port}");
        let (clients, peers) = (at(self.addresses.etcd), at(self.addresses.etcd_peers));
        let mut flags = Flags::default();
        flags
            .set("data-dir", self.folder.path().join("etcd"))
            .set("listen-client-urls", &clients)
            .set("advertise-client-urls", &clients)
            .set("listen-peer-urls", &peers)
            .set("initial-advertise-peer-urls", &peers)
            .set("initial-cluster", format!("default={peers}"))
            .set("unsafe-no-fsync", "true")
            .set("log-level", "warn");
        self.run(Program::Etcd, flags)
    }

    fn start_api_server(&self) -> Result<()> {
        let host = self.addresses.host.to_string();
        let names = [
            host.as_str(),
            "127.0.0.1",
            "10.96.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let server = self.authority.server("kube-apiserver", &names)?;
        let kubelet = self.authority.client(
            "apiserver-kubelet-client",
            "kube-apiserver-kubelet-client",
            Some("system:masters"),
        )?;
        let (private, public) = self.authority.signing_key("service-account")?;
        let mut flags = Flags::default();
        flags
            .set("etcd-servers", format!("http://127.0.0.1:{}", self.addresses.etcd))
            .set("secure-port", self.addresses.api.to_string())
            .set("advertise-address", &host)
            .set("service-cluster-ip-range", "10.96.0.0/16")
            .set("authorization-mode", "Node,RBAC")
            .set("allow-privileged", "true")
            .set("client-ca-file", self.authority.certificate())
            .set("tls-cert-file", server.certificate)
            .set("tls-private-key-file", server.key)
            .set("kubelet-client-certificate", kubelet.certificate)
            .set("kubelet-client-key", kubelet.key)
            .set("kubelet-preferred-address-types", "InternalIP")
            .set("service-account-signing-key-file", private)
            .set("service-account-key-file", public)
            .set("service-account-issuer", "https://kubernetes.default.svc.cluster.local")
            // Tests are many requests in a moment from one user.
            .set("enable-priority-and-fairness", "false")
            .set("max-requests-inflight", "2000")
            .set("max-mutating-requests-inflight", "1000")
            .set("profiling", "false");
        if self.addresses.host.is_loopback() {
            // No endpoint may have a loopback address.
            flags.set("bind-address", &host).set("endpoint-reconciler-type", "none");
        }
        self.run(Program::ApiServer, flags)
    }

    fn start_controllers(&self) -> Result<()> {
        let config = self.write_kubeconfig(
            "kube-controller-manager",
            "system:kube-controller-manager",
            None,
        )?;
        let mut flags = Flags::default();
        flags
            .set("kubeconfig", config)
            .set("bind-address", "127.0.0.1")
            .set("secure-port", self.addresses.controllers.to_string())
            .set("use-service-account-credentials", "true")
            .set("root-ca-file", self.authority.certificate())
            .set(
                "service-account-private-key-file",
                self.folder.path().join("pki/service-account.key"),
            )
            .set("leader-elect", "false")
            // Their defaults, 20 and 30 a second, would be what a scale test measures.
            .set("kube-api-qps", "500")
            .set("kube-api-burst", "1000")
            .set("node-monitor-period", "2s")
            .set("node-monitor-grace-period", "20s");
        self.run(Program::ControllerManager, flags)
    }

    fn start_scheduler(&self) -> Result<()> {
        let kubeconfig = self.write_kubeconfig("kube-scheduler", "system:kube-scheduler", None)?;
        let config = serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": false},
            "clientConnection": {"kubeconfig": kubeconfig, "qps": 500, "burst": 1000},
        });
        let path = self.folder.path().join("kube-scheduler.json");
        std::fs::write(&path, config.to_string())?;
        let mut flags = Flags::default();
        flags
            .set("config", path)
            .set("bind-address", "127.0.0.1")
            .set("secure-port", self.addresses.scheduler.to_string());
        self.run(Program::Scheduler, flags)
    }

    fn start_fake_nodes(&self) -> Result<()> {
        let config = self.write_kubeconfig("kwok", "kwok", Some("system:masters"))?;
        self.run(Program::Kwok, Flags(fake_nodes::flags(&config, self.addresses.host)))
    }

    fn run(&self, program: Program, flags: Flags) -> Result<()> {
        let path = program.ensure()?;
        self.processes.start(program.name(), &path, flags.0, &[]).map(drop)
    }
}

async fn ready(client: &Client) -> Result<bool> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    Ok(client.request_text(request).await? == "ok")
}

/// Command line flags of a Go program.
#[derive(Debug, Default)]
pub(crate) struct Flags(pub Vec<OsString>);

impl Flags {
    /// Adds `--name=value`.
    pub fn set(&mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> &mut Self {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(value);
        self.0.push(flag);
        self
    }
}
