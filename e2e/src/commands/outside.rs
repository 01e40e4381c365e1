//! The owner of a run: prepares it, starts the inner process and cleans up after it.

use std::{
    ffi::OsString,
    path::Path,
    process::{Child, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result};
use dasklet_e2e::{
    cgroup::{self, ControlGroup},
    cluster, namespaces,
    run_folder::{Owner, RunFolder},
    runner::Needs,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::run;

/// Runs the scenarios, or with `up` a cluster alone.
pub fn run(arguments: &run::Arguments, up: bool) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(kubeconfig) = std::env::var_os("KUBECONFIG").filter(|_| !up) {
        eprintln!("using the cluster of KUBECONFIG={}", kubeconfig.display());
        if arguments.load.is_some() {
            arguments.images.ensure(&arguments.needs()?)?;
        }
        return runtime.block_on(run::scenarios(arguments, Path::new(&kubeconfig), false));
    }
    namespaces::check()?;
    cluster::prepare()?;
    let needs = if up { vec![Needs::Operator] } else { arguments.needs()? };
    arguments.images.ensure(&needs)?;
    cgroup::remove_stale();
    let folder = RunFolder::new()?;
    let owner = Owner::this();

    let mut words: Vec<OsString> = vec!["init".into(), "--folder".into(), folder.path().into()];
    words.extend(["--owner".into(), owner.to_string().into()]);
    if up {
        words.push("--up".into());
    }
    words.push("--".into());
    words.extend(arguments.for_inner()?);
    let mut child = namespaces::start(words)?;
    let outcome = runtime.block_on(wait(&mut child, folder.path()));
    // All that ran in the namespaces ends with their first process, which ends with its parent.
    child.kill().ok();
    child.wait().ok();
    ControlGroup::of(owner).remove();
    outcome
}

/// Waits for the inner process or for a signal that ends the run.
async fn wait(child: &mut Child, folder: &Path) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut noted = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the inner process")? {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        if !noted {
            noted = note_first(child.id(), folder)?;
        }
        tokio::select! {
            _ = interrupt.recv() => return Ok(ExitCode::from(130)),
            _ = terminate.recv() => return Ok(ExitCode::from(143)),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

/// Notes the process id of the namespaces' first process, for those who want to enter them.
fn note_first(unshare: u32, folder: &Path) -> Result<bool> {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let text = std::fs::read_to_string(children).unwrap_or_default();
    let Some(first) = text.split_whitespace().next() else { return Ok(false) };
    std::fs::write(folder.join(namespaces::FIRST), first)?;
    Ok(true)
}
