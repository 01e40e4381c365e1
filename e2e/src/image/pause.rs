//! The image that holds a pod's namespaces.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    cache::{self, Turn},
    command,
    image::{archive::Image, layer::Layer},
    node::PAUSE_IMAGE,
};

const SOURCE: &str = include_str!("../../pause/pause.c");

/// Its archive, built at first use.
pub fn ensure() -> Result<PathBuf> {
    let hash: String =
        Sha256::digest(SOURCE).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = cache::folder()?.join("pause").join(hash);
    let archive = folder.join("pause.tar");
    if archive.exists() {
        return Ok(archive);
    }
    let _turn = Turn::wait(&folder)?;
    let (source, program) = (folder.join("pause.c"), folder.join("pause"));
    fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
    let arguments = ["-static".as_ref(), "-Os".as_ref(), "-s".as_ref(), "-o".as_ref()];
    command::output("gcc", arguments.into_iter().chain([program.as_os_str(), source.as_os_str()]))?;
    let mut layer = Layer::new();
    layer.copy("pause", 0o755, &program)?;
    let image = Image {
        name: PAUSE_IMAGE.to_owned(),
        entrypoint: vec!["/pause".to_owned()],
        user: "65535:65535".to_owned(),
        ..Image::default()
    };
    image.write(&archive, layer.finish()?)?;
    Ok(archive)
}
