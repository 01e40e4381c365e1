//! Programs that tasks run.

use bytes::Bytes;
use dasklet_protocol::v1;

use crate::dependency::Dep;

/// A program to run; what it writes to its standard output is the task's output.
///
/// ```
/// use dasklet_client::{Command, TaskSpec};
///
/// let spec = TaskSpec::command(Command::new(["sh", "-c", "wc -l < list.txt"])
///     .env("LC_ALL", "C")
///     .file("list.txt", "one\ntwo\n"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Command(pub(crate) v1::Command, pub(crate) Vec<Dep>);

impl Command {
    /// The program and its arguments.
    #[must_use]
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self(v1::Command { argv, ..v1::Command::default() }, Vec::new())
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.env.insert(name.into(), value.into());
        self
    }

    /// What it reads on its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Bytes>) -> Self {
        self.0.stdin = bytes.into();
        self
    }

    /// Writes a file into its scratch folder before it starts.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.0.files.insert(name.into(), content.into());
        self
    }

    /// Writes an output of another task into its scratch folder before it starts.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, dep: impl Into<Dep>) -> Self {
        self.0.input_files.push(name.into());
        self.1.push(dep.into());
        self
    }

    /// Starts only after this task, whose output it does not read.
    #[must_use]
    pub fn after(self, dep: impl Into<Dep>) -> Self {
        self.input("", dep)
    }
}
