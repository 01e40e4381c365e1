//! One spilled output in one file: a header with length and checksum, then the bytes.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use dasklet_core::quantity::human_bytes;

const MAGIC: &[u8; 4] = b"DSK1";
const HEADER: usize = 16;

/// A spilled output. The file goes when the last reader is done with it.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
    length: u64,
    checksum: u32,
    on_disk: Arc<AtomicU64>,
}

impl SpillFile {
    /// Writes under another name and renames, so that a file is there as a whole or not at all.
    ///
    /// # Errors
    /// A sentence that names the path, and the space where it was too little. Nothing is left.
    pub fn write(path: PathBuf, bytes: &[u8], on_disk: Arc<AtomicU64>) -> Result<Self, String> {
        let checksum = crc32fast::hash(bytes);
        let unfinished = path.with_extension("tmp");
        let written =
            write_file(&unfinished, bytes, checksum).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished);
            return Err(describe(&error, &path, bytes.len()));
        }
        let length = bytes.len() as u64;
        on_disk.fetch_add(length, Ordering::Relaxed);
        Ok(Self { path, length, checksum, on_disk })
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// A sentence, if the file is not what was written.
    pub fn read(self: &Arc<Self>) -> Result<Bytes, String> {
        let mut reader = self.open()?;
        let mut bytes = vec![0; self.length as usize];
        reader.fill(&mut bytes)?;
        Ok(Bytes::from(bytes))
    }

    /// Reads it in pieces.
    ///
    /// # Errors
    /// As [`SpillFile::read`].
    pub fn open(self: &Arc<Self>) -> Result<Reader, String> {
        let damaged = |why: String| self.damaged(&why);
        let mut file = File::open(&self.path).map_err(|error| damaged(error.to_string()))?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(|error| damaged(error.to_string()))?;
        if header != make_header(self.length, self.checksum) {
            return Err(damaged("its header changed".to_owned()));
        }
        Ok(Reader {
            spilled: self.clone(),
            file,
            hasher: crc32fast::Hasher::new(),
            left: self.length,
        })
    }

    fn damaged(&self, why: &str) -> String {
        format!("spilled output {} cannot be read back: {why}", self.path.display())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.on_disk.fetch_sub(self.length, Ordering::Relaxed);
    }
}

/// Reads a spilled output from its beginning.
#[derive(Debug)]
pub(crate) struct Reader {
    spilled: Arc<SpillFile>,
    file: File,
    hasher: crc32fast::Hasher,
    left: u64,
}

impl Reader {
    /// Fills `bytes` with what follows, at most what is left. The read that reaches the end also
    /// checks the whole.
    ///
    /// # Errors
    /// A sentence, if the file is not what was written.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.file.read_exact(bytes).map_err(|error| self.spilled.damaged(&error.to_string()))?;
        self.hasher.update(bytes);
        self.left -= bytes.len() as u64;
        if self.left == 0 && self.hasher.clone().finalize() != self.spilled.checksum {
            return Err(self.spilled.damaged("its checksum does not match"));
        }
        Ok(())
    }
}

fn make_header(length: u64, checksum: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(MAGIC);
    header[4..12].copy_from_slice(&length.to_le_bytes());
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn write_file(path: &Path, bytes: &[u8], checksum: u32) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&make_header(bytes.len() as u64, checksum))?;
    file.write_all(bytes)
}

fn describe(error: &io::Error, path: &Path, needed: usize) -> String {
    let folder = path.parent().unwrap_or(path);
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    if !full {
        return format!("cannot spill an output to {}: {error}", path.display());
    }
    let free = rustix::fs::statvfs(folder).map_or(0, |space| space.f_bavail * space.f_frsize);
    format!(
        "the disk of {} is full: spilling an output needs {}, {} are free; give the worker more scratch space, or more memory",
        folder.display(),
        human_bytes(needed as u64 + HEADER as u64),
        human_bytes(free)
    )
}
