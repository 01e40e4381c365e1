//! Kubeconfig files.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::pki::{Authority, Identity};

/// Writes a kubeconfig for `identity` at `server`.
pub fn write(path: &Path, server: &str, authority: &Authority, identity: &Identity) -> Result<()> {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "dasklet-e2e", "cluster": {
            "server": server, "certificate-authority": authority.certificate()}}],
        "users": [{"name": "user", "user": {
            "client-certificate": identity.certificate, "client-key": identity.key}}],
        "contexts": [{"name": "dasklet-e2e", "context": {
            "cluster": "dasklet-e2e", "user": "user"}}],
        "current-context": "dasklet-e2e",
    });
    fs::write(path, format!("{config:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The client settings that a kubeconfig file gives, with nothing from the environment.
pub async fn config(path: &Path) -> Result<Config> {
    let read = Kubeconfig::read_from(path)
        .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("cannot use the kubeconfig {}", path.display()))
}

/// A client of the cluster that a kubeconfig file names.
pub async fn client(path: &Path) -> Result<Client> {
    Ok(Client::try_from(config(path).await?)?)
}
