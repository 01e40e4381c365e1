//! Hands over to the end-to-end tests, which are a program of their own: this one stays small.

use std::{ffi::OsString, os::unix::process::CommandExt, process::ExitCode};

use crate::steps;

/// Becomes `dasklet-e2e` with these arguments. Returns only if it cannot.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let run = ["run", "--quiet", "--release", "--locked", "--package", "dasklet-e2e", "--"];
    let error = steps::cargo(run).args(arguments).exec();
    eprintln!("error: could not start cargo: {error}");
    ExitCode::FAILURE
}
