//! The Go that builds a cluster's programs: this machine's, or one that Debian's older Go fetches.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    cache::{self, Turn},
    command, debian,
};

/// The oldest Go that fetches by itself whatever newer one a module asks for.
const FETCHES_ITSELF: (u32, u32) = (1, 21);
/// What is fetched where there is only an older one. Newer ones it fetches by itself.
const VERSION: &str = "1.26.0";

/// The path of a Go of today, which is fetched if there is none.
pub fn ensure() -> Result<PathBuf> {
    for program in ["go", "/usr/local/go/bin/go"] {
        if version(Path::new(program)).is_some_and(|version| version >= FETCHES_ITSELF) {
            return Ok(program.into());
        }
    }
    let folder = cache::folder()?.join("go").join(VERSION);
    let told = folder.join("path");
    let _turn = Turn::wait(&folder)?;
    if let Ok(path) = std::fs::read_to_string(&told) {
        let path = PathBuf::from(path);
        if path.exists() {
            return Ok(path);
        }
    }
    let path = fetch(&folder)?;
    std::fs::write(told, path.to_string_lossy().as_bytes())?;
    Ok(path)
}

/// A toolchain is a Go module, which any Go can fetch and check, however old.
fn fetch(folder: &Path) -> Result<PathBuf> {
    let old = if version(Path::new("go")).is_some() {
        PathBuf::from("go")
    } else {
        debian::install("golang-go", "/usr/bin/go")?;
        PathBuf::from("/usr/bin/go")
    };
    eprintln!("fetching Go {VERSION} (once)");
    let module = format!("golang.org/toolchain@v0.0.1-go{VERSION}.linux-{}", architecture()?);
    let mut go = Command::new(old);
    go.args(["mod", "download", "-json", &module]).current_dir(folder).env("GO111MODULE", "on");
    let told: Value = serde_json::from_str(&command::run(&mut go)?)?;
    let root = PathBuf::from(told["Dir"].as_str().context("go mod download told no folder")?);
    // Files of a module are not executable, unless a Go that knows toolchains unpacked it; and its
    // folders are read-only.
    for place in ["bin", "pkg/tool"] {
        let place = root.join(place);
        if place.exists() {
            command::output("chmod", ["-R".as_ref(), "u+wx".as_ref(), place.as_os_str()])?;
        }
    }
    let path = root.join("bin/go");
    if version(&path).is_none() {
        bail!("{} does not start: install Go 1.24 or later by hand", path.display());
    }
    Ok(path)
}

fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no Go is fetched for {other}: install Go 1.24 or later"),
    }
}

fn version(program: &Path) -> Option<(u32, u32)> {
    parse(&command::output(program, ["version"]).ok()?)
}

/// Reads `go version go1.24.3 linux/amd64`.
fn parse(told: &str) -> Option<(u32, u32)> {
    let word = told.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor = word.split(|other: char| !other.is_ascii_digit()).next()?;
    Some((1, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_go_tells_them() {
        for (told, expected) in [
            ("go version go1.19.8 linux/amd64", Some((1, 19))),
            ("go version go1.26rc1 linux/arm64\n", Some((1, 26))),
            ("go: command not found", None),
        ] {
            assert_eq!(parse(told), expected);
        }
    }
}
