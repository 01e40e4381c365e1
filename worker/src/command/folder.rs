//! The folder a command runs in, and the files around it.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use dasklet_core::TaskError;
use dasklet_protocol::v1;

use crate::{
    executor::{load, load_all},
    news::Failed,
    spec::{Input, Run},
    worker::Worker,
};

/// This much of what a command wrote to its standard error goes into its error.
const STDERR_TAIL: u64 = 4 << 10;

/// Files of one run. Removed with it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder and all files that the command asks for.
    ///
    /// # Errors
    /// A file name leads out of the folder, an input is lost, or the disk does not take it.
    pub fn prepare(
        worker: &Worker,
        run: &Run,
        generation: u64,
        command: &v1::Command,
    ) -> Result<Self, Box<Failed>> {
        let name = format!("run-{generation}-{}", run.id);
        let folder = Self { path: worker.store.scratch().path().join(name) };
        let fault = |error: io::Error| {
            failed(TaskError::worker_fault(format!(
                "cannot prepare the scratch folder {}: {error}; look at the space there",
                folder.path.display()
            )))
        };
        fs::create_dir_all(folder.work()).map_err(fault)?;
        if !command.stdin.is_empty() {
            fs::write(folder.stdin(), &command.stdin).map_err(fault)?;
        }
        for (name, content) in &command.files {
            fs::write(folder.place(name).map_err(failed)?, content).map_err(fault)?;
        }
        for (name, input) in command.input_files.iter().zip(&run.inputs) {
            if name.is_empty() {
                continue;
            }
            let place = folder.place(name).map_err(failed)?;
            match input {
                Input::Many(many) => {
                    fs::create_dir_all(&place).map_err(fault)?;
                    for (member, value) in load_all(worker, many)?.iter().enumerate() {
                        fs::write(place.join(member.to_string()), value).map_err(fault)?;
                    }
                }
                one => fs::write(place, load(worker, one)?).map_err(fault)?,
            }
        }
        Ok(folder)
    }

    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    pub fn stdin(&self) -> PathBuf {
        self.path.join("stdin")
    }

    pub fn stdout(&self) -> PathBuf {
        self.path.join("stdout")
    }

    pub fn stderr(&self) -> PathBuf {
        self.path.join("stderr")
    }

    fn place(&self, name: &str) -> Result<PathBuf, TaskError> {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.is_empty() {
            return Err(TaskError::fatal(format!(
                "file '{name}' would lie outside the task's folder: give a relative path without '..'"
            )));
        }
        let place = self.work().join(name);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|error| {
                TaskError::worker_fault(format!("cannot make {}: {error}", parent.display()))
            })?;
        }
        Ok(place)
    }

    /// What the command wrote, at most `most` bytes.
    ///
    /// # Errors
    /// It wrote more.
    pub fn output(&self, most: u64) -> Result<Bytes, TaskError> {
        let path = self.stdout();
        let length = fs::metadata(&path).map_or(0, |file| file.len());
        if length > most {
            return Err(TaskError::fatal(format!(
                "the command wrote {length} bytes to its standard output, this worker takes {most}: write to a file of your own, or split the work"
            )));
        }
        fs::read(&path).map(Bytes::from).map_err(|error| {
            TaskError::worker_fault(format!("cannot read {}: {error}", path.display()))
        })
    }

    /// The end of what the command wrote to its standard error.
    pub fn stderr_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(self.stderr())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(STDERR_TAIL)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(tail)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub(super) fn failed(error: TaskError) -> Box<Failed> {
    Box::new(Failed { error, lost: Vec::new(), exit_code: 0, signal: 0 })
}
