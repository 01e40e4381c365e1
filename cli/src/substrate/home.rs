//! The folder of one run: logs of the children and their scratch files. Removed at the end;
//! what a killed run left is removed by the next one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const PREFIX: &str = "dasklet-run-";

/// The folder of this run.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// Makes the folder, named after this process, and removes those of processes that are gone.
    ///
    /// # Errors
    /// Those of making a folder in the system's folder for temporary files.
    pub fn create() -> std::io::Result<Self> {
        remove_left_behind(&std::env::temp_dir());
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Ok(Self { folder: tempfile::Builder::new().prefix(&prefix).tempdir()? })
    }

    /// Where a child of this name logs.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Where workers keep what they spill.
    pub fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }
}

fn remove_left_behind(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if let Some(pid) = owner
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            // Another user's folder stays, and that is right.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
