//! Where things are, and the tools that the test command installs for itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::steps;

const CARGO_DENY_VERSION: &str = "0.20.2";

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder for what is built once and used by every checkout.
fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: set one, for tools built once")?;
    Ok(base.join("dasklet"))
}

/// The `cargo-deny` program, built into the cache at its first use.
pub fn cargo_deny() -> Result<PathBuf> {
    let root = cache()?.join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        println!("deny: building cargo-deny {CARGO_DENY_VERSION} (once, some minutes)");
        let mut install = steps::cargo(["install", "--locked", "cargo-deny", "--version"]);
        install.arg(CARGO_DENY_VERSION).arg("--root").arg(&root);
        // Its own target folder and plain flags: nothing of ours is built with its features.
        install.current_dir("/").env("CARGO_TARGET_DIR", root.join("target"));
        steps::run(&mut install)?;
        std::fs::remove_dir_all(root.join("target")).ok();
    }
    Ok(program)
}

/// The `helm` program, which the end-to-end tests build into the cache at its first use.
pub fn helm() -> Result<PathBuf> {
    let output = crate::e2e::program()?
        .args(["program", "helm"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("could not start dasklet-e2e")?;
    if !output.status.success() {
        bail!("there is no helm");
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Builds these programs of the workspace, and gives the folder that they are in. The whole
/// workspace is selected, so that dependencies have the same features, and are the same, as in
/// the tests.
pub fn programs(names: &[&str]) -> Result<PathBuf> {
    let mut build = steps::cargo(["build", "--release", "--locked", "--workspace"]);
    for name in names {
        build.args(["--bin", name]);
    }
    let output = build
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("building {} failed", names.join(", "));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find_map(|program| program.parent().map(Path::to_path_buf))
        .context("cargo named no program that it built")
}
