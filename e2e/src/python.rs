//! The Python environment with Dask, made when it is missing.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    cache::{self, Turn},
    command,
};

/// What is installed: what users have beside our operator.
const PACKAGES: &[&str] = &["dask==2026.8.0", "distributed==2026.8.0", "dask-kubernetes==2026.3.0"];

/// A virtual environment in the cache.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment, installed if it has to be.
    pub fn ensure() -> Result<Self> {
        let (_, version) = PACKAGES[0].split_once("==").context("a pinned version")?;
        let folder = cache::folder()?.join("python-e2e").join(version);
        let complete = folder.join("complete");
        let environment = Self { folder: folder.clone() };
        if complete.exists() {
            return Ok(environment);
        }
        let _turn = Turn::wait(&folder)?;
        if !complete.exists() {
            eprintln!("installing {} (once)", PACKAGES.join(" "));
            command::output(base_python()?, ["-m".as_ref(), "venv".as_ref(), folder.as_os_str()])?;
            let install = ["-m", "pip", "install", "--quiet", "--no-compile"];
            command::output(folder.join("bin/python3"), install.iter().chain(PACKAGES))?;
            File::create(complete)?;
        }
        Ok(environment)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The Python program that it links to.
    pub fn base(&self) -> Result<PathBuf> {
        let program = self.folder.join("bin/python3");
        std::fs::canonicalize(&program).with_context(|| format!("{}", program.display()))
    }

    /// The folder of Python's own modules.
    pub fn standard_library(&self) -> Result<PathBuf> {
        let ask = ["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"];
        Ok(PathBuf::from(command::output(self.folder.join("bin/python3"), ask)?.trim()))
    }
}

fn base_python() -> Result<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    ["python3.11", "python3.12", "python3.13", "python3"]
        .into_iter()
        .find(|name| command::output(name, ["-c", check]).is_ok())
        .context("no Python 3.11 or newer with venv: install python3 and python3-venv")
}
