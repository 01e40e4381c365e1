//! An image archive: an OCI image layout that is a `docker save` archive as well, so that every
//! tool loads it.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

/// How an image is started.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The full name with its tag, such as `docker.io/dasklet/engine:0.1.0`.
    pub name: String,
    /// The program that always runs.
    pub entrypoint: Vec<String>,
    /// What runs, or the entry point's arguments, unless told otherwise.
    pub command: Vec<String>,
    /// Variables, as `NAME=value`.
    pub environment: Vec<String>,
    /// `user:group`; root if empty.
    pub user: String,
    /// Where it starts; `/` if empty.
    pub folder: String,
}

impl Image {
    /// Writes the archive of this image with one layer.
    pub fn write(&self, path: &Path, layer: Vec<u8>) -> Result<()> {
        // The layer is not compressed: these archives go from disk to disk.
        let layer = Blob::new(layer);
        let config = Blob::json(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": self.environment,
                "User": self.user,
                "WorkingDir": if self.folder.is_empty() { "/" } else { &self.folder },
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
            "history": [{"created_by": "cargo xtask images"}],
        }));
        let manifest = Blob::json(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        }));
        let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
        let tag = self.name.rsplit(':').next().unwrap_or("latest");
        entry["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": tag,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let docker = json!([{
            "Config": config.path(), "RepoTags": [self.name], "Layers": [layer.path()]}]);

        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // Beside, then renamed: an archive that is there is whole.
        let partial = path.with_extension("partial");
        let file = File::create(&partial)
            .with_context(|| format!("cannot write {}", partial.display()))?;
        let mut tar = Builder::new(file);
        append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut tar, "index.json", index.to_string().as_bytes())?;
        append(&mut tar, "manifest.json", docker.to_string().as_bytes())?;
        for blob in [&config, &manifest, &layer] {
            append(&mut tar, &blob.path(), &blob.content)?;
        }
        tar.finish()?;
        fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
    }
}

struct Blob {
    content: Vec<u8>,
    hash: String,
}

impl Blob {
    fn new(content: Vec<u8>) -> Self {
        let hash = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { content, hash }
    }

    fn json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.hash)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hash)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest(), "size": self.content.len()})
    }
}

fn append(tar: &mut Builder<File>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).context("cannot write an image archive")
}

/// This machine's architecture in the words of image manifests.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use super::*;
    use crate::image::layer::Layer;

    #[test]
    fn every_reference_in_an_archive_leads_to_a_file_with_that_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        let mut layer = Layer::new();
        layer.folder("bin", 0o755).unwrap();
        layer.file("bin/true", 0o755, b"#!").unwrap();
        layer.link("bin/yes", "true").unwrap();
        let image = Image { name: "docker.io/dasklet/x:1".to_owned(), ..Image::default() };
        image.write(&path, layer.finish().unwrap()).unwrap();

        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(name, content);
        }
        let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = &files[&format!("blobs/sha256/{digest}")];
            assert_eq!(Blob::new(content.clone()).hash, digest);
            assert_eq!(descriptor["size"], content.len());
            content.clone()
        };
        let manifest: Value =
            serde_json::from_slice(&blob(&json("index.json")["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"][0], Blob::new(layer.clone()).digest());
        let docker = json("manifest.json");
        assert_eq!(docker[0]["RepoTags"][0], "docker.io/dasklet/x:1");
        assert_eq!(files[docker[0]["Layers"][0].as_str().unwrap()], layer);
    }
}
