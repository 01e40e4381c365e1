//! The folder for spilled outputs and for the scratch folders of commands.

use std::{
    fs::{self, DirEntry, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

/// Names of our folders begin so ...
const PREFIX: &str = "dasklet-worker-";
/// ... or so, before they are locked ...
const UNFINISHED: &str = ".unfinished-";
/// ... which takes no longer than this.
const FINISHED_AFTER: Duration = Duration::from_secs(60);
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
        let unfinished = base.join(format!("{UNFINISHED}{id}"));
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
        if is_orphan(&folder) {
            tracing::info!("removing what a killed worker left: {}", folder.path().display());
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

fn is_orphan(folder: &DirEntry) -> bool {
    let name = folder.file_name();
    let name = name.to_string_lossy();
    if name.starts_with(UNFINISHED) {
        let age = folder.metadata().and_then(|data| data.modified()).map(|at| at.elapsed());
        return matches!(age, Ok(Ok(age)) if age > FINISHED_AFTER);
    }
    name.starts_with(PREFIX)
        && File::open(folder.path().join(LOCK))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
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
    fn folders_of_processes_that_died_while_they_made_them_go() {
        let base = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * FINISHED_AFTER;
        let names = [("old", true), ("new", false)].map(|(name, is_old)| {
            let path = base.path().join(format!("{UNFINISHED}{name}"));
            fs::create_dir(&path).unwrap();
            if is_old {
                fs::write(path.join(LOCK), "").unwrap();
                File::open(&path).unwrap().set_modified(old).unwrap();
            }
            path
        });
        let _mine = Scratch::create(base.path()).unwrap();
        assert_eq!(names.map(|path| path.exists()), [false, true]);
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
