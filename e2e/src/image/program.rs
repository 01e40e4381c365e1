//! Our programs on their way into an image.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::command;

/// A copy without symbols, in `folder`. An error if it would not run in an empty image.
pub fn stripped(program: &Path, folder: &Path) -> Result<PathBuf> {
    let name = program.file_name().with_context(|| format!("{} is no file", program.display()))?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let headers = command::output("readelf", ["-l".as_ref(), program.as_os_str()])
        .context("readelf comes with binutils")?;
    if headers.contains("INTERP") {
        bail!(
            "{} is linked dynamically and would not start in an image: build it with the flags of \
             .cargo/config.toml",
            program.display()
        );
    }
    let copy = folder.join(name);
    command::output("strip", ["-o".as_ref(), copy.as_os_str(), program.as_os_str()])
        .context("strip comes with binutils")?;
    Ok(copy)
}
