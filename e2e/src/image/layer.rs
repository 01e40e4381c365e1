//! The one layer of an image: a tar of its files, the same bytes for the same content.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// The user that our images run as; the operator names it in the pods that it makes.
pub const USER: u32 = 1000;

/// Files on their way into a layer. Paths are relative to the image's root.
pub struct Layer {
    tar: Builder<Vec<u8>>,
}

impl Layer {
    /// An empty layer.
    pub fn new() -> Self {
        Self { tar: Builder::new(Vec::new()) }
    }

    /// A folder with a mode, of root.
    pub fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.entry(EntryType::Directory, path, mode, 0, &[])
    }

    /// A folder that [`USER`] may write to.
    pub fn home(&mut self, path: &str) -> Result<()> {
        self.entry(EntryType::Directory, path, 0o755, USER, &[])
    }

    /// A file with the given content.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(EntryType::Regular, path, mode, 0, content)
    }

    /// A copy of a file of this machine.
    pub fn copy(&mut self, path: &str, mode: u32, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(path, mode, &content)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0, 0);
        self.tar.append_link(&mut header, path, target)?;
        Ok(())
    }

    /// A folder of this machine with all that it holds, under `path`, which must exist.
    pub fn tree(&mut self, path: &str, from: &Path) -> Result<()> {
        self.tree_without(path, from, &[])
    }

    /// The same without folders whose names begin with one of `left_out`.
    pub fn tree_without(&mut self, path: &str, from: &Path, left_out: &[&str]) -> Result<()> {
        let mut entries: Vec<_> = fs::read_dir(from)
            .with_context(|| format!("cannot read {}", from.display()))?
            .collect::<std::io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let inner = format!("{path}/{name}");
            let kind = entry.file_type()?;
            let mode = entry.metadata()?.permissions().mode() & 0o7777;
            if kind.is_symlink() {
                self.link(&inner, &fs::read_link(entry.path())?.to_string_lossy())?;
            } else if kind.is_dir() {
                if !left_out.iter().any(|start| name.starts_with(start)) {
                    self.folder(&inner, mode)?;
                    self.tree_without(&inner, &entry.path(), left_out)?;
                }
            } else if kind.is_file() {
                self.copy(&inner, mode, &entry.path())?;
            }
        }
        Ok(())
    }

    /// The tar.
    pub fn finish(self) -> Result<Vec<u8>> {
        Ok(self.tar.into_inner()?)
    }

    fn entry(
        &mut self,
        kind: EntryType,
        path: &str,
        mode: u32,
        user: u32,
        content: &[u8],
    ) -> Result<()> {
        let mut header = header(kind, mode, user, content.len() as u64);
        self.tar
            .append_data(&mut header, path, content)
            .with_context(|| format!("cannot add {path} to a layer"))
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

fn header(kind: EntryType, mode: u32, user: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(user));
    header.set_gid(u64::from(user));
    header.set_size(size);
    header.set_mtime(0);
    header
}
