//! What the README tells people to type.

use std::{ffi::OsString, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context, Result, bail, ensure};

use crate::{programs::Program, readme, runner::World};

/// The sections that are read in one go.
const QUICK_START: &[&str] =
    &["Install", "First cluster", "First job", "Autoscaling", "Troubleshooting"];
/// The section that needs a dask-kubernetes to move from.
pub const MOVING: &str = "Moving from dask-kubernetes";

/// From the installation to the troubleshooting, each command as it stands.
pub async fn quick_start(world: Arc<World>) -> Result<()> {
    for section in QUICK_START {
        run_section(&world, section).await?;
    }
    Ok(())
}

/// Types the commands of a section, in the scenario's namespace.
pub async fn run_section(world: &World, section: &str) -> Result<()> {
    let scripts = readme::scripts(&text(world)?, section);
    ensure!(!scripts.is_empty(), "the README has no commands under '{section}'");
    for script in scripts {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(&world.setting.checkout);
        bash.env("KUBECONFIG", kubeconfig(world)?).env("PATH", path()?);
        let told = tokio::task::spawn_blocking(move || bash.output()).await??;
        let out = String::from_utf8_lossy(&told.stdout).into_owned();
        let complained = String::from_utf8_lossy(&told.stderr).into_owned();
        world.write_transcript(
            &format!("readme-{}", section.to_lowercase().replace(' ', "-")),
            &out,
        )?;
        if !told.status.success() {
            bail!("of '{section}' this failed ({}):\n{script}{out}{complained}", told.status);
        }
    }
    Ok(())
}

fn text(world: &World) -> Result<String> {
    let path = world.setting.checkout.join("README.md");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// A kubeconfig whose default namespace is the scenario's.
fn kubeconfig(world: &World) -> Result<PathBuf> {
    let copy = world.setting.evidence.join(format!("{}.kubeconfig", world.namespace));
    std::fs::copy(&world.setting.kubeconfig, &copy)?;
    let mut command = Command::new(Program::Kubectl.ensure()?);
    command.arg("--kubeconfig").arg(&copy);
    command.args(["config", "set-context", "--current", "--namespace", &world.namespace]);
    crate::command::run(&mut command)?;
    Ok(copy)
}

fn path() -> Result<OsString> {
    let mut folders = Vec::new();
    for tool in [Program::Kubectl, Program::Helm] {
        folders.extend(tool.ensure()?.parent().map(PathBuf::from));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(std::env::join_paths(folders)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_runs_every_section_that_has_commands() {
        let text = include_str!("../../../README.md");
        let sections: std::collections::BTreeSet<_> =
            readme::all(text).into_iter().map(|(section, _)| section).collect();
        let run: std::collections::BTreeSet<_> =
            QUICK_START.iter().chain([&MOVING]).map(|&name| name.to_owned()).collect();
        assert_eq!(sections, run);
    }
}
