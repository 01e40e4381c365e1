//! `--attach`: the scenarios on the cluster that `up` started, from outside and from inside of it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use dasklet_e2e::{command, namespaces, node::Node, programs::Program, runner::OPERATOR_NAMESPACE};

use crate::commands::{arguments::Within, enter, run};

/// Writes the images that are needed and goes on inside.
pub fn run(arguments: &run::Arguments) -> Result<ExitCode> {
    let (folder, first) = enter::running()?;
    arguments.images.ensure(&arguments.needs()?)?;
    let mut words: Vec<OsString> = vec!["attached".into(), "--folder".into(), folder.into()];
    words.extend(["--owner".into(), "0-0".into(), "--".into()]);
    words.extend(arguments.for_inner()?);
    let own = std::env::current_exe().context("where this program is")?;
    let status = namespaces::enter(&first, own).args(words).status().context("nsenter")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Loads what is newer than what the cluster has, and runs the scenarios.
pub fn inside(within: &Within, arguments: &run::Arguments) -> Result<ExitCode> {
    let kubeconfig = within.folder.join("admin.kubeconfig");
    let mut news = false;
    for archive in arguments.images.archives()? {
        news |= load(&within.folder, &archive)?;
    }
    if news {
        restart_operator(&kubeconfig)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run::scenarios(arguments, &kubeconfig, true))
}

/// Loads an archive on every node, unless it was loaded before. True if it was loaded.
pub fn load(run: &Path, archive: &Path) -> Result<bool> {
    let note = note(run, archive)?;
    let written = fs::metadata(archive)?.modified()?;
    if fs::metadata(&note).and_then(|note| note.modified()).is_ok_and(|loaded| loaded > written) {
        return Ok(false);
    }
    for number in (0..).take_while(|number| run.join(format!("n{number}")).exists()) {
        Node::new(number, run).load_image(archive)?;
    }
    fs::write(note, "")?;
    Ok(true)
}

/// The file that is younger than the archive if the cluster has it.
fn note(run: &Path, archive: &Path) -> Result<PathBuf> {
    let folder = run.join("loaded");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(archive.file_name().context("an archive has a name")?))
}

/// An image of the same name is a new one only for new pods.
fn restart_operator(kubeconfig: &Path) -> Result<()> {
    let kubectl = |words: &[&str]| {
        let mut command = Command::new(Program::Kubectl.ensure()?);
        command.arg("--kubeconfig").arg(kubeconfig).args(["-n", OPERATOR_NAMESPACE]).args(words);
        command::run(&mut command)
    };
    if kubectl(&["get", "deployment/dasklet-operator", "--ignore-not-found"])?.is_empty() {
        return Ok(());
    }
    kubectl(&["rollout", "restart", "deployment/dasklet-operator"])?;
    Ok(())
}
