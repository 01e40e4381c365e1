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
        loop {
            let path = base.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
            fs::create_dir(&path)?;
            let lock = File::create(path.join(LOCK))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            // Between the two steps a starting worker may have taken it for an orphan.
            if path.join(LOCK).exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
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
        let free = File::open(folder.path().join(LOCK))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            tracing::info!("removing what a killed worker left: {}", folder.path().display());
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
