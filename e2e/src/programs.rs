//! The programs of a cluster, built from source at their first use.
//!
//! A program is kept in `<cache>/<group>/<version>/<name>`; changing a version here builds anew
//! and leaves the old ones to be deleted by hand. The Go modules `kubernetes` and `etcd` of this
//! crate pin what these two are built from; the others are installed by name and version.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    cache::{self, Turn},
    go,
};

/// The version of Kubernetes that the tests run on. From 1.35 on its kubelet refuses cgroup v1
/// unless told otherwise.
pub const KUBERNETES_VERSION: &str = "v1.34.4";

/// A program that this crate can build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// etcd.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controller manager.
    ControllerManager,
    /// The scheduler of Kubernetes.
    Scheduler,
    /// The node agent.
    Kubelet,
    /// The service proxy.
    KubeProxy,
    /// The command line client.
    Kubectl,
    /// Simulated nodes.
    Kwok,
    /// The cluster's name server.
    CoreDns,
    /// The chart installer.
    Helm,
    /// An S3 server on a folder.
    VersityGw,
}

/// All of them.
pub const ALL: &[Program] = &[
    Program::Etcd,
    Program::ApiServer,
    Program::ControllerManager,
    Program::Scheduler,
    Program::Kubelet,
    Program::KubeProxy,
    Program::Kubectl,
    Program::Kwok,
    Program::CoreDns,
    Program::Helm,
    Program::VersityGw,
];

/// How a program comes from its source.
enum Source {
    /// `go build` of a package in one of this crate's modules.
    Module { folder: &'static str, package: &'static str },
    /// `go install` of a package at its version.
    Install { package: &'static str },
}

impl Program {
    /// The program of this name.
    pub fn of_name(name: &str) -> Result<Self> {
        let mut all = ALL.iter().copied();
        all.find(|program| program.name() == name).with_context(|| {
            let names: Vec<_> = ALL.iter().map(|program| program.name()).collect();
            format!("there is no program '{name}': there are {}", names.join(", "))
        })
    }

    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::CoreDns => "coredns",
            Self::Helm => "helm",
            Self::VersityGw => "versitygw",
        }
    }

    fn source(self) -> Source {
        let kubernetes = |package| Source::Module { folder: "kubernetes", package };
        match self {
            Self::Etcd => Source::Module { folder: "etcd", package: "go.etcd.io/etcd/server/v3" },
            Self::ApiServer => kubernetes("k8s.io/kubernetes/cmd/kube-apiserver"),
            Self::ControllerManager => kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager"),
            Self::Scheduler => kubernetes("k8s.io/kubernetes/cmd/kube-scheduler"),
            Self::Kubelet => kubernetes("k8s.io/kubernetes/cmd/kubelet"),
            Self::KubeProxy => kubernetes("k8s.io/kubernetes/cmd/kube-proxy"),
            Self::Kubectl => kubernetes("k8s.io/kubernetes/cmd/kubectl"),
            Self::Kwok => Source::Install { package: "sigs.k8s.io/kwok/cmd/kwok" },
            Self::CoreDns => Source::Install { package: "github.com/coredns/coredns" },
            Self::Helm => Source::Install { package: "helm.sh/helm/v3/cmd/helm" },
            Self::VersityGw => {
                Source::Install { package: "github.com/versity/versitygw/cmd/versitygw" }
            }
        }
    }

    /// The version, as the Go module proxy names it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Etcd => "v3.6.16",
            Self::Kwok => "v0.7.0",
            Self::CoreDns => "v1.12.4",
            Self::Helm => "v3.19.0",
            Self::VersityGw => "v1.8.0",
            _ => KUBERNETES_VERSION,
        }
    }

    fn group(self) -> &'static str {
        match self.source() {
            Source::Module { folder, .. } => folder,
            Source::Install { .. } => self.name(),
        }
    }

    fn folder(self) -> Result<PathBuf> {
        Ok(cache::folder()?.join(self.group()).join(self.version()))
    }

    /// The path of the program, which is built if it is not there yet: minutes, the first time.
    /// `KUBEBUILDER_ASSETS` names a folder whose `etcd`, `kube-apiserver` and `kubectl` are taken
    /// instead, as other tools take them.
    pub fn ensure(self) -> Result<PathBuf> {
        if let Some(path) = self.given() {
            return Ok(path);
        }
        let folder = self.folder()?;
        let path = folder.join(self.name());
        if path.exists() {
            return Ok(path);
        }
        let _turn = Turn::wait(&folder)?;
        if !path.exists() {
            self.build(&folder)?;
        }
        Ok(path)
    }

    fn given(self) -> Option<PathBuf> {
        if !matches!(self, Self::Etcd | Self::ApiServer | Self::Kubectl) {
            return None;
        }
        let path = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join(self.name());
        path.exists().then_some(path)
    }

    fn build(self, folder: &Path) -> Result<()> {
        eprintln!("building {} {} from source (once)", self.name(), self.version());
        let start = Instant::now();
        // Into a folder beside, then renamed: what is in the cache is always whole.
        let partial = folder.join(".partial");
        let mut go = Command::new(go::ensure()?);
        match self.source() {
            Source::Module { folder: module, package } => {
                go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(module));
                go.args(["build", "-tags", "providerless", "-trimpath"]);
                go.arg("-ldflags").arg(linker_flags(self.version()));
                go.arg("-o").arg(partial.join(self.name())).arg(package);
            }
            Source::Install { package } => {
                go.current_dir(folder).env("GOBIN", &partial);
                go.args(["install", "-trimpath", "-ldflags", "-s -w"]);
                go.arg(format!("{package}@{}", self.version()));
            }
        }
        let output = go.env("CGO_ENABLED", "0").output().context("cannot start go")?;
        if !output.status.success() {
            bail!(
                "building {} {} failed:\n{}",
                self.name(),
                self.version(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        std::fs::rename(partial.join(self.name()), folder.join(self.name()))
            .with_context(|| format!("go built no {}", self.name()))?;
        eprintln!("built {} in {:.0} s", self.name(), start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Without symbols, and with the version that `kubectl version` and version checks ask for.
fn linker_flags(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    let mut flags = "-s -w".to_owned();
    for (name, value) in [
        ("gitVersion", version),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
    ] {
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_flags_name_the_version_in_all_its_forms() {
        let flags = linker_flags("v1.34.4");
        for part in ["version.gitVersion=v1.34.4", "version.gitMajor=1", "version.gitMinor=34"] {
            assert!(flags.contains(part), "{flags}");
        }
    }

    #[test]
    fn modules_pin_the_versions_that_the_cache_is_keyed_by() {
        for (module, program, requirement) in [
            ("kubernetes", Program::Kubelet, "k8s.io/kubernetes"),
            ("etcd", Program::Etcd, "go.etcd.io/etcd/server/v3"),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(module).join("go.mod");
            let text = std::fs::read_to_string(path).unwrap();
            let line = format!("{requirement} {}", program.version());
            assert!(text.contains(&line), "{module}/go.mod has no `{line}`");
        }
    }
}
