//! An S3 server with tables in it, for scenarios that read from an object store.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    image::{
        archive::Image,
        layer::{Layer, USER},
    },
    programs::Program,
};

/// What the image is called.
pub const NAME: &str = "docker.io/dasklet/s3:1";
/// The key and the secret of its one user.
pub const CREDENTIALS: (&str, &str) = ("dasklet", "dasklet-secret");
/// Where it listens.
pub const PORT: u16 = 7070;

/// Writes it: the bucket `tables` holds the example data of this checkout.
pub fn write(archive: &Path) -> Result<()> {
    let mut layer = Layer::new();
    layer.copy("versitygw", 0o755, &Program::VersityGw.ensure()?)?;
    layer.folder("tmp", 0o1777)?;
    layer.home("data")?;
    layer.home("data/tables")?;
    layer.tree("data/tables", &data())?;
    let (access, secret) = CREDENTIALS;
    let command = ["/versitygw", "--port", ":7070", "--quiet", "posix", "/data"];
    let image = Image {
        name: NAME.to_owned(),
        entrypoint: command.map(str::to_owned).into(),
        environment: vec![
            format!("ROOT_ACCESS_KEY_ID={access}"),
            format!("ROOT_SECRET_ACCESS_KEY={secret}"),
        ],
        user: format!("{USER}:{USER}"),
        ..Image::default()
    };
    image.write(archive, layer.finish()?)
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/nycflights13")
}
