//! Namespaces of their own for a cluster: network, mounts and process ids.
//!
//! An outer process, the *owner*, starts an inner one that is alone in new namespaces. Whatever
//! the inner one starts, pods included, ends with it, because the first process of a process id
//! namespace takes all others along; the owner's death, even by SIGKILL, ends the first process.
//! Addresses and mounts go with the namespaces. What outlives a process, control groups and
//! files, is named by the owner, who removes it, or else the next run does.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

/// Folders that get an empty file system of their own inside: what programs leave there is gone
/// with the run, and what others left is not seen.
const FRESH: &[&str] = &["/run", "/var/log", "/var/lib/cni", "/etc/cni"];

/// The file in a run's folder that holds the process id of the namespaces' first process.
pub const FIRST: &str = "first";

/// An error that tells the ways out, unless this process may make namespaces.
pub fn check() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "a cluster with containers needs root: run this as root, set KUBECONFIG to use a \
             cluster that exists, or run `cargo xtask test` without --e2e"
        );
    }
    Ok(())
}

/// Starts this program again as the first process of new namespaces, with these arguments.
pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Child> {
    check()?;
    let own = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child=KILL", "--mount-proc", "--propagation", "private"])
        .arg(own)
        .args(arguments)
        .stdin(Stdio::null());
    // Ctrl-C is for the owner alone, whose end is theirs.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().context("cannot start setpriv and unshare: install util-linux")
}

/// What the first process of the namespaces does: runs a command and buries every orphan, until
/// the command ends.
pub fn init(mut command: Command) -> Result<ExitCode> {
    for folder in FRESH {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
        mount(Some("tmpfs"), *folder, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("cannot mount a file system on {folder}"))?;
    }
    for folder in ["/run/lock", "/run/netns", "/var/log/containers", "/var/log/pods"] {
        fs::create_dir_all(folder)?;
    }
    let child = command.spawn().context("cannot start the inner process")?;
    let child = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                bail!("the inner process was ended by {signal}");
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the inner process"),
        }
    }
}

/// A command that runs `program` inside the namespaces whose first process this is.
pub fn enter(first: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    for kind in ["net", "mnt", "pid"] {
        command.arg(format!("--{}={}", long(kind), first.join("ns").join(kind).display()));
    }
    command.arg("--").arg(program);
    command
}

fn long(kind: &str) -> &str {
    match kind {
        "mnt" => "mount",
        other => other,
    }
}
