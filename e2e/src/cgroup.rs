//! The control groups that the pods of one run live in.
//!
//! A namespace ends with its last process, but a control group stays: so each run has one of its
//! own, below one folder, and named by its owner.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::run_folder::Owner;

const MOUNT: &str = "/sys/fs/cgroup";
const PARENT: &str = "dasklet-e2e";

/// The control group of one run, in every hierarchy that this machine has.
#[derive(Debug)]
pub struct ControlGroup {
    name: String,
}

impl ControlGroup {
    /// The group of this owner's run, which [`Self::create`] makes.
    pub fn of(owner: Owner) -> Self {
        Self { name: owner.to_string() }
    }

    /// The path as the kubelet's `cgroupRoot` wants it: from the root of each hierarchy.
    pub fn path(&self, child: &str) -> String {
        format!("/{PARENT}/{}/{child}", self.name)
    }

    /// Makes the group and `children` of it.
    pub fn create(&self, children: &[String]) -> Result<()> {
        for hierarchy in hierarchies(Path::new(MOUNT)) {
            let group = hierarchy.join(PARENT).join(&self.name);
            let mut parents = vec![hierarchy.join(PARENT), group.clone()];
            parents.extend(children.iter().map(|child| group.join(child)));
            for folder in parents {
                make(&folder).with_context(|| {
                    format!("cannot make the control group {}", folder.display())
                })?;
            }
        }
        Ok(())
    }

    /// Removes the group and all below it, once its processes are gone.
    pub fn remove(&self) {
        for hierarchy in hierarchies(Path::new(MOUNT)) {
            remove(&hierarchy.join(PARENT).join(&self.name));
            // Goes only if it is empty: other runs have theirs in it.
            fs::remove_dir(hierarchy.join(PARENT)).ok();
        }
    }
}

/// Removes the groups of owners that are gone.
pub fn remove_stale() {
    for hierarchy in hierarchies(Path::new(MOUNT)) {
        for entry in fs::read_dir(hierarchy.join(PARENT)).into_iter().flatten().flatten() {
            let owner = Owner::parse(&entry.file_name().to_string_lossy());
            if owner.is_some_and(|owner| !owner.alive()) {
                remove(&entry.path());
            }
        }
    }
}

/// One folder with cgroup v2; with v1 one for each controller, links left out.
fn hierarchies(mount: &Path) -> Vec<PathBuf> {
    if mount.join("cgroup.controllers").exists() {
        return vec![mount.to_owned()];
    }
    fs::read_dir(mount)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn make(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        fs::create_dir(folder)?;
    }
    // v1: a new group of this controller may run nowhere until it is told where.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, parent) = (folder.join(file), folder.join("..").join(file));
        if own.exists() && fs::read_to_string(&own)?.trim().is_empty() && parent.exists() {
            fs::write(own, fs::read_to_string(parent)?)?;
        }
    }
    // v2: children have the controllers that their parent hands on.
    let available = folder.join("cgroup.controllers");
    if available.exists() {
        let names = fs::read_to_string(available)?;
        let all: Vec<_> = names.split_whitespace().map(|name| format!("+{name}")).collect();
        fs::write(folder.join("cgroup.subtree_control"), all.join(" "))?;
    }
    Ok(())
}

/// The kernel lets a group go a moment after the last process in it.
fn remove(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while folder.exists() {
        remove_now(folder);
        if Instant::now() > deadline {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn remove_now(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_now(&entry.path());
        }
    }
    fs::remove_dir(folder).ok();
}
