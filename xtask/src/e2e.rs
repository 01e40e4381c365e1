//! Hands over to the end-to-end tests, which are a program of their own: this one stays small.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{steps, tools};

/// Becomes `dasklet-e2e` with a subcommand of it and these arguments. Returns only if it cannot.
pub fn run(subcommand: Option<&str>, arguments: &[OsString]) -> ExitCode {
    let error = match program() {
        Ok(mut program) => program.args(subcommand).args(arguments).exec().into(),
        Err(error) => error,
    };
    eprintln!("error: could not start dasklet-e2e: {error:#}");
    ExitCode::FAILURE
}

/// Runs all scenarios, and what shows that nothing is left of a cluster, as a step of the tests.
pub fn scenarios() -> Result<()> {
    steps::run(&mut program()?)?;
    let test = ["test", "--release", "--locked", "--workspace", "--test", "teardown"];
    steps::run(steps::cargo(test).args(["--", "--ignored"]))
}

/// The program itself, built if it has to be.
pub fn program() -> Result<Command> {
    Ok(Command::new(tools::programs(&["dasklet-e2e"])?.join("dasklet-e2e")))
}
