//! What the images are made by, so that archives of an older recipe are written anew.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A hash of the sources that lay out images, and of the versions in them.
pub static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for source in [
        include_str!("archive.rs"),
        include_str!("engine.rs"),
        include_str!("layer.rs"),
        include_str!("names.rs"),
        include_str!("operator.rs"),
        include_str!("program.rs"),
        include_str!("python.rs"),
        include_str!("s3.rs"),
        include_str!("../python.rs"),
        super::names::VERSION,
    ] {
        hash.update(source);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
});
