//! The engine's image: scheduler and worker, a shell with the usual small tools, and the
//! certificates that https needs.

use std::path::Path;

use anyhow::Result;

use crate::{
    command,
    image::{
        archive::Image,
        layer::{Layer, USER},
        program::stripped,
    },
};

/// The home of the image's user.
pub const HOME: &str = "/home/dasklet";
/// Where programs are.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/// The folders of the image.
pub const FOLDERS: &[&str] = &[
    "bin",
    "etc",
    "etc/ssl",
    "etc/ssl/certs",
    "home",
    "sbin",
    "usr",
    "usr/bin",
    "usr/sbin",
    "var",
];

/// Writes it.
pub fn write(program: &Path, name: &str, archive: &Path, scratch: &Path) -> Result<()> {
    let mut layer = Layer::new();
    fill(&mut layer, program, scratch)?;
    let image = Image {
        name: name.to_owned(),
        // No entry point: a pod's `args` name the program, as with Dask's own images.
        command: vec!["dasklet".to_owned(), "--help".to_owned()],
        environment: vec![format!("PATH={PATH}"), format!("HOME={HOME}")],
        user: format!("{USER}:{USER}"),
        folder: HOME.to_owned(),
        ..Image::default()
    };
    image.write(archive, layer.finish()?)
}

/// Puts all files of the engine's image into a layer.
pub fn fill(layer: &mut Layer, program: &Path, scratch: &Path) -> Result<()> {
    for folder in FOLDERS {
        layer.folder(folder, 0o755)?;
    }
    layer.folder("tmp", 0o1777)?;
    layer.folder("var/tmp", 0o1777)?;
    layer.home(HOME.trim_start_matches('/'))?;
    add_engine(layer, program, scratch)?;
    layer.copy("bin/busybox", 0o755, Path::new("/bin/busybox"))?;
    for applet in command::output("/bin/busybox", ["--list-full"])?.lines() {
        if applet != "bin/busybox" {
            layer.link(applet, "/bin/busybox")?;
        }
    }
    let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
    layer.copy("etc/ssl/certs/ca-certificates.crt", 0o644, certificates)?;
    let passwd = format!("root:x:0:0:root:/:/bin/sh\ndasklet:x:{USER}:{USER}::{HOME}:/bin/sh\n");
    layer.file("etc/passwd", 0o644, passwd.as_bytes())?;
    layer.file("etc/group", 0o644, format!("root:x:0:\ndasklet:x:{USER}:\n").as_bytes())
}

/// The one program under its three names.
fn add_engine(layer: &mut Layer, program: &Path, scratch: &Path) -> Result<()> {
    layer.copy("usr/bin/dasklet", 0o755, &stripped(program, scratch)?)?;
    for name in ["dasklet-scheduler", "dasklet-worker"] {
        layer.link(&format!("usr/bin/{name}"), "dasklet")?;
    }
    Ok(())
}
