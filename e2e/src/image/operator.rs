//! The operator's image: one static program and nothing else.

use std::path::Path;

use anyhow::Result;

use crate::image::{
    archive::Image,
    layer::{Layer, USER},
    program::stripped,
};

/// Writes it.
pub fn write(program: &Path, name: &str, archive: &Path, scratch: &Path) -> Result<()> {
    let mut layer = Layer::new();
    layer.folder("usr", 0o755)?;
    layer.folder("usr/bin", 0o755)?;
    layer.copy("usr/bin/dasklet-operator", 0o755, &stripped(program, scratch)?)?;
    let image = Image {
        name: name.to_owned(),
        entrypoint: vec!["/usr/bin/dasklet-operator".to_owned()],
        user: format!("{USER}:{USER}"),
        ..Image::default()
    };
    image.write(archive, layer.finish()?)
}
