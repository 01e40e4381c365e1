//! `enter`: commands inside the cluster that runs on this machine.

use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use dasklet_e2e::{namespaces, programs::Program, run_folder};

#[derive(clap::Args)]
pub struct Arguments {
    /// The command; a shell if there is none.
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Becomes the command.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let (folder, first) = running()?;
    let mut words = arguments.command.into_iter();
    let program = words.next().unwrap_or_else(|| "sh".into());
    let mut folders = Vec::new();
    for tool in [Program::Kubectl, Program::Helm] {
        folders.extend(tool.ensure()?.parent().map(PathBuf::from));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let error = namespaces::enter(&first, program)
        .args(words)
        .env("KUBECONFIG", folder.join("admin.kubeconfig"))
        .env("PATH", std::env::join_paths(folders)?)
        .exec();
    Err(error).context("cannot start nsenter: install util-linux")
}

/// The folder of the one cluster that runs on this machine, and its first process.
pub fn running() -> Result<(PathBuf, PathBuf)> {
    let mut runs: Vec<_> = run_folder::alive()
        .into_iter()
        .filter(|folder| folder.join(namespaces::FIRST).exists())
        .collect();
    if runs.len() != 1 {
        bail!(
            "{} clusters run here: start one with `cargo xtask e2e up`, or enter one by hand with \
             nsenter and the process id in its file `{}` in {runs:?}",
            runs.len(),
            namespaces::FIRST,
        );
    }
    let folder = runs.remove(0);
    let first = std::fs::read_to_string(folder.join(namespaces::FIRST))?;
    Ok((folder, PathBuf::from("/proc").join(first.trim())))
}
