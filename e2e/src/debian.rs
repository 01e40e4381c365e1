//! Programs that come as Debian packages, installed when they are missing.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{cache, command};

/// A package, and a file that it brings.
const PACKAGES: &[(&str, &str)] = &[
    ("binutils", "/usr/bin/strip"),
    ("busybox-static", "/bin/busybox"),
    ("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("containerd", "/usr/bin/containerd"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("gcc", "/usr/bin/gcc"),
    ("iproute2", "/bin/ip"),
    ("iptables", "/usr/sbin/iptables"),
    ("libc6-dev", "/usr/include/stdio.h"),
    ("runc", "/usr/sbin/runc"),
    ("util-linux", "/usr/bin/unshare"),
];

/// Installs what is missing; as another user than root, says what that is.
pub fn ensure() -> Result<()> {
    if missing().is_empty() {
        return Ok(());
    }
    let _turn = cache::Turn::wait(&cache::folder()?.join("apt"))?;
    let names = missing();
    if names.is_empty() {
        return Ok(());
    }
    install_all(&names)?;
    let still = missing();
    if !still.is_empty() {
        bail!("apt-get installed {}, yet files of theirs are missing", still.join(" "));
    }
    Ok(())
}

/// Installs a package unless the file that it brings is there.
pub fn install(name: &str, file: &str) -> Result<()> {
    let _turn = cache::Turn::wait(&cache::folder()?.join("apt"))?;
    if Path::new(file).exists() { Ok(()) } else { install_all(&[name]) }
}

fn install_all(names: &[&str]) -> Result<()> {
    let remedy = format!("run `apt-get install {}` as root", names.join(" "));
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("Debian packages are missing: {remedy}");
    }
    eprintln!("installing {}", names.join(" "));
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        // No service of theirs is wanted: the tests start their own.
        apt.env("RUNLEVEL", "1");
        command::run(&mut apt)
    };
    apt(&["update"])?;
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(names);
    apt(&install).map(drop)
}

fn missing() -> Vec<&'static str> {
    let missing = PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists());
    missing.map(|(name, _)| *name).collect()
}
