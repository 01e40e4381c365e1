//! How the command ends: one code for each kind of end, and the sentence that goes with it.

use std::{fmt, process::ExitCode};

/// The codes `dasklet` ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// A job failed, or what was asked about is not there.
    Failed = 1,
    /// The input is wrong: arguments, manifests, SQL.
    BadInput = 2,
    /// The cluster could not be started or reached.
    NoCluster = 3,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An end before the work was done.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// Names the thing, what is wrong, and what to do.
    pub message: String,
}

impl Failure {
    /// The input is wrong.
    pub fn bad_input(message: impl fmt::Display) -> Self {
        Self { exit: Exit::BadInput, message: message.to_string() }
    }

    /// The cluster could not be started or reached.
    pub fn no_cluster(message: impl fmt::Display) -> Self {
        Self { exit: Exit::NoCluster, message: message.to_string() }
    }

    /// The work failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// Somebody stopped it.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, message: "interrupted".to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
