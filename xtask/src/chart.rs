//! The Helm chart: linted, and rendered with several sets of values into what is written down.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{steps, tools};

/// The Kubernetes that renders are made for; it appears nowhere in them.
const KUBERNETES: &str = "1.33.0";

/// Checks the chart, or writes the renders down anew.
pub fn check(write: bool) -> Result<()> {
    let helm = tools::helm()?;
    let chart = tools::root().join("charts/dasklet-operator");
    versions_agree(&chart)?;
    lint(&helm, &chart)?;
    refuses_bad_values(&helm, &chart)?;
    let mut differ = Vec::new();
    let mut count = 0;
    for values in files(&chart.join("tests/values"))? {
        let name = values.file_name().context("values have a name")?;
        let golden = chart.join("tests/golden").join(name);
        let render = render(&helm, &chart, &values)?;
        count += 1;
        if write {
            fs::write(&golden, render).with_context(|| format!("{}", golden.display()))?;
        } else if fs::read_to_string(&golden).unwrap_or_default() != render {
            differ.push(golden.display().to_string());
        }
    }
    let written = files(&chart.join("tests/golden"))?.len();
    ensure!(written == count, "{written} renders are written down for {count} sets of values");
    if !differ.is_empty() {
        bail!(
            "these renders have changed:\n  {}\nread the difference after `cargo xtask chart --write`",
            differ.join("\n  ")
        );
    }
    println!("chart: {count} renders passed, 0 failed");
    Ok(())
}

fn lint(helm: &Path, chart: &Path) -> Result<()> {
    let output = Command::new(helm).args(["lint", "--strict", "--quiet"]).arg(chart).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "helm lint: {told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn render(helm: &Path, chart: &Path, values: &Path) -> Result<String> {
    let output = template(helm, chart).arg("--values").arg(values).output()?;
    if !output.status.success() {
        bail!("{}: {}", values.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn template(helm: &Path, chart: &Path) -> Command {
    let mut command = Command::new(helm);
    command.args(["template", "release"]).arg(chart);
    command.args(["--namespace", "dask", "--kube-version", KUBERNETES]);
    command
}

/// Values that the schema has to refuse, each with a part of what is said.
fn refuses_bad_values(helm: &Path, chart: &Path) -> Result<()> {
    for (values, expected) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("replicas=-1", "minimum: got -1, want 0"),
        ("replicas=2,leaderElection.enabled=false", "maximum: got 2, want 1"),
        ("log.format=xml", "value must be one of 'text', 'json'"),
        ("kopfArgs={--namespace=team-*}", "patterns of namespaces are not followed"),
        ("rbac.namespaces={Upper}", "does not match pattern"),
    ] {
        let output = template(helm, chart).args(["--set", values]).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "the chart takes {values}");
        ensure!(told.contains(expected), "of {values} helm says: {told}");
    }
    Ok(())
}

/// The chart installs the program of this very checkout.
fn versions_agree(chart: &Path) -> Result<()> {
    let ours = env!("CARGO_PKG_VERSION");
    let text = fs::read_to_string(chart.join("Chart.yaml"))?;
    for field in ["version", "appVersion"] {
        let line = format!("{field}: {ours}");
        ensure!(text.lines().any(|it| it == line), "Chart.yaml has no line '{line}'");
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut found: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    found.sort();
    Ok(found)
}

/// Writes the definitions of the resources and their reference, as the code has them.
pub fn write_definitions() -> Result<()> {
    let run = ["run", "--release", "--locked", "--package", "dasklet-api", "--bin", "dasklet-crds"];
    steps::run(steps::cargo(run).arg("--").arg(tools::root()))
}
