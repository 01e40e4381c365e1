//! The operator's installation, by the chart of this checkout.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, programs::Program, runner::Setting};

/// The namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "dasklet-operator";

/// Installs the chart, or upgrades what is there, and waits until the operator is ready. Returns
/// its namespace.
pub async fn install_operator(setting: &Setting) -> Result<String> {
    let mut helm = Command::new(Program::Helm.ensure()?);
    helm.arg("--kubeconfig").arg(&setting.kubeconfig);
    helm.args(["upgrade", "--install", "dasklet-operator"]).arg(&setting.chart);
    helm.args(["--namespace", OPERATOR_NAMESPACE, "--create-namespace"]);
    helm.args(["--wait", "--timeout", "2m"]);
    tokio::task::spawn_blocking(move || command::run(&mut helm))
        .await?
        .context("cannot install the operator's chart")?;
    Ok(OPERATOR_NAMESPACE.to_owned())
}
