//! Where things that are built once are kept, for every checkout.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The cache folder of the project: `$XDG_CACHE_HOME/dasklet` or `$HOME/.cache/dasklet`.
pub fn folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: set one, for programs built once")?;
    Ok(base.join("dasklet"))
}

/// A lock on a folder that processes and threads take in turns. It ends with this value, or with
/// the process.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Turn {
    /// Waits for the turn on `folder`, which is made if it does not exist.
    pub fn wait(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(".lock");
        let file =
            File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self(file))
    }
}
