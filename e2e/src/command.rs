//! Commands that are run to their end.

use std::{ffi::OsStr, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Runs a command and returns what it printed; an error holds what it complained of.
pub fn output<S: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    arguments: impl IntoIterator<Item = S>,
) -> Result<String> {
    run(Command::new(program.as_ref()).args(arguments))
}

/// The same for a prepared command.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("cannot start {}", name.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    bail!(
        "{} {} ended with {}: {}",
        name.display(),
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}
