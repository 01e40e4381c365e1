//! The folder for spilled outputs and for the scratch folders of commands.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Names of our folders begin so.
const PREFIX: &str = "dasklet-worker-";
/// Held locked by the process that the folder belongs to.
const LOCK: &str = "lock";

/// A folder of this process. Removed when it ends; what a killed process left is removed by the
/// next one that starts in the same place.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a folder under `base`, and removes those of processes that are gone.
    ///
    /// # Errors
    /// The place cannot be written.
    pub fn create(base: &Path) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        remove_orphans(base);
        let id = uuid::Uuid::new_v4().simple().to_string();
        // It gets the name by which others know it when it is locked: before that, a worker that
        // starts at the same moment would take it for an orphan.
        let unfinished = base.join(format!(".unfinished-{id}"));
        fs::create_dir(&unfinished)?;
        let lock = File::create(unfinished.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let path = base.join(format!("{PREFIX}{id}"));
        fs::rename(&unfinished, &path)?;
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Scratch {
    /// Removes it and all in it, although others may still hold on to it.
    pub fn remove(&self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove the scratch folder {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn remove_orphans(base: &Path) {
    let Ok(folders) = fs::read_dir(base) else { return };
    for folder in folders.flatten() {
        if !folder.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(folder.path().join(LOCK)) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tracing::info!("removing what a killed worker left: {}", folder.path().display());
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_start_together_leave_each_other_alone() {
        let base = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let starts = || {
                start.wait();
                (0..50).map(|_| Scratch::create(base.path()).unwrap()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(starts)).collect();
            let all: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
            assert!(all.iter().all(|scratch| scratch.path().join(LOCK).exists()));
            assert_eq!(fs::read_dir(base.path()).unwrap().count(), all.len());
        });
    }

    #[test]
    fn folders_of_dead_processes_go_and_of_living_stay() {
        let base = tempfile::tempdir().unwrap();
        let living = Scratch::create(base.path()).unwrap();
        let orphan = base.path().join("dasklet-worker-orphan");
        fs::create_dir(&orphan).unwrap();
        fs::write(orphan.join(LOCK), "").unwrap();
        fs::write(orphan.join("17"), "spilled").unwrap();
        let other = base.path().join("something-else");
        fs::create_dir(&other).unwrap();

        let second = Scratch::create(base.path()).unwrap();
        assert!(!orphan.exists());
        assert!(living.path().exists() && other.exists());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }
}
