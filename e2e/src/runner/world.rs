//! What a scenario is given.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use crate::{command, programs::Program};

/// What all scenarios of a run share.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The admin's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The operator's chart.
    pub chart: PathBuf,
    /// The engine's image.
    pub engine_image: String,
    /// The image with Python and Dask.
    pub python_image: String,
    /// The root of the checkout, in which a person types what the documents tell.
    pub checkout: PathBuf,
    /// Where transcripts go.
    pub evidence: PathBuf,
}

/// One scenario's part of a cluster: a namespace, and the tools of a user.
pub struct World {
    /// What is shared.
    pub setting: Setting,
    /// A client that may do anything.
    pub client: Client,
    /// The scenario's namespace.
    pub namespace: String,
    measures: Mutex<Vec<(String, f64)>>,
}

impl World {
    /// A world in a namespace, which must exist.
    pub fn new(setting: Setting, client: Client, namespace: String) -> Self {
        Self { setting, client, namespace, measures: Mutex::default() }
    }

    /// An API of the scenario's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// kubectl in the scenario's namespace.
    pub async fn kubectl<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = self.kubectl_command()?;
        command.args(arguments).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command::run(&mut command)).await?
    }

    /// `kubectl apply` of one or more documents, as a user would.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        self.feed(&["apply", "-f", "-"], manifest).await
    }

    /// kubectl with a standard input.
    pub async fn feed(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.kubectl_command()?;
        command.args(arguments);
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || feed(command, &input)).await?
    }

    /// helm on this cluster.
    pub async fn helm<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = Command::new(Program::Helm.ensure()?);
        command.arg("--kubeconfig").arg(&self.setting.kubeconfig).args(arguments);
        tokio::task::spawn_blocking(move || command::run(&mut command)).await?
    }

    /// The pods that a label selector names, without those that are going.
    pub async fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = self.api();
        let mut found = pods.list(&ListParams::default().labels(selector)).await?.items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(found)
    }

    /// An HTTP GET of a service's path through the API server, as JSON.
    pub async fn get_service(&self, service: &str, port: &str, path: &str) -> Result<Value> {
        let text = self.get_service_text(service, port, path).await?;
        serde_json::from_str(&text).with_context(|| format!("{service}{path} is not JSON: {text}"))
    }

    /// The same as text.
    pub async fn get_service_text(&self, service: &str, port: &str, path: &str) -> Result<String> {
        let path =
            format!("/api/v1/namespaces/{}/services/{service}:{port}/proxy{path}", self.namespace);
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(self.client.request_text(request).await?)
    }

    /// Notes a measured time.
    pub fn measure(&self, name: &str, time: Duration) {
        let seconds = time.as_secs_f64();
        eprintln!("    {name}: {seconds:.3} s");
        if let Ok(mut measures) = self.measures.lock() {
            measures.push((name.to_owned(), seconds));
        }
    }

    /// What was measured.
    pub fn measures(&self) -> Vec<(String, f64)> {
        self.measures.lock().map(|measures| measures.clone()).unwrap_or_default()
    }

    /// Keeps what a person saw, for the documents.
    pub fn write_transcript(&self, name: &str, text: &str) -> Result<()> {
        let folder = self.setting.evidence.join("transcripts");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.txt"));
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(text.as_bytes())?;
        Ok(())
    }

    /// A kubectl command in the scenario's namespace.
    pub fn kubectl_command(&self) -> Result<Command> {
        kubectl(&self.setting.kubeconfig, &self.namespace)
    }
}

fn kubectl(kubeconfig: &Path, namespace: &str) -> Result<Command> {
    let mut command = Command::new(Program::Kubectl.ensure()?);
    command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", namespace]);
    Ok(command)
}

fn feed(mut command: Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start kubectl")?;
    child.stdin.take().context("a pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("kubectl: {}", String::from_utf8_lossy(&output.stderr).trim())
}
