//! The folder of one run, and the removal of those whose owner died.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder for the data and logs of one run, named by the process that owns it, and removed with
/// this value. What a killed owner left is removed by the next run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    owner: Option<Owner>,
}

impl RunFolder {
    /// A new folder under `<temporary files>/dasklet-e2e`.
    pub fn new() -> Result<Self> {
        let base = base();
        fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
        for path in stale(&base) {
            fs::remove_dir_all(&path).ok();
        }
        let owner = Owner::this();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{owner}-{number}"));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, owner: Some(owner) })
    }

    /// A folder that somebody else owns and removes.
    pub fn lent(path: &Path) -> Self {
        Self { path: path.to_owned(), owner: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.owner.is_some() {
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// The runs on this machine by this user whose owners are alive.
pub fn alive() -> Vec<PathBuf> {
    runs(&base(), true)
}

/// The folder of all runs on this machine by this user.
fn base() -> PathBuf {
    std::env::temp_dir().join(format!("dasklet-e2e-{}", nix::unistd::getuid()))
}

/// Folders whose owner is gone.
fn stale(base: &Path) -> Vec<PathBuf> {
    runs(base, false)
}

fn runs(base: &Path, alive: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| Owner::parse(&name.to_string_lossy()))
                .is_some_and(|owner| owner.alive() == alive)
        })
        .collect()
}

/// A process, told apart from a later one with the same id by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pid: u32,
    started: u64,
}

impl Owner {
    /// This process.
    pub fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid).unwrap_or_default() }
    }

    /// Reads `<pid>-<start time>`, and whatever follows after another dash.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let pid = parts.next()?.parse().ok()?;
        Some(Self { pid, started: parts.next()?.parse().ok()? })
    }

    /// Whether the process still runs.
    pub fn alive(self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.started)
    }
}

/// The start time of a process in ticks since boot: field 22 of its `stat`, counted after the
/// command name, which may hold anything but ends at the last bracket.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_later_one_with_its_id_is_another() {
        let owner = Owner::this();
        assert!(owner.alive());
        assert!(!Owner { started: owner.started + 1, ..owner }.alive());
    }

    #[test]
    fn folders_of_the_dead_are_found() {
        let base = tempfile::tempdir().unwrap();
        let this = Owner::this();
        let dead = base.path().join(format!("{}-{}-0", this.pid, this.started + 1));
        for path in [
            &dead,
            &base.path().join(format!("{}-{}-0", this.pid, this.started)),
            &base.path().join("other"),
        ] {
            fs::create_dir(path).unwrap();
        }
        assert_eq!(stale(base.path()), [dead]);
    }
}
