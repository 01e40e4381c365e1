//! Reads manifests from files and collects what is wrong with them.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use dasklet_api::{Diagnostic, Manifest, lint, parse_documents};

use crate::exit::Failure;

/// The documents of some files, with all findings about them.
#[derive(Debug)]
pub struct Reading {
    /// The documents that can be read.
    pub manifests: Vec<Manifest>,
    /// What is wrong, errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads all documents of these files.
///
/// # Errors
/// A file cannot be read at all.
pub fn read(files: &[PathBuf]) -> Result<Reading, Failure> {
    let mut reading = Reading { manifests: Vec::new(), diagnostics: Vec::new() };
    for file in files {
        let text = text_of(file)?;
        match parse_documents(&text, &file.display().to_string()) {
            Ok(manifests) => reading.manifests.extend(manifests),
            Err(diagnostics) => reading.diagnostics.extend(diagnostics),
        }
    }
    if reading.diagnostics.is_empty() {
        reading.diagnostics = lint(&reading.manifests);
    }
    Ok(reading)
}

/// Reads all documents of these files; any error ends it, warnings go to `warn`.
///
/// # Errors
/// A file cannot be read, or a document is wrong: all findings in one message.
pub fn read_good(files: &[PathBuf], warn: impl Fn(&str)) -> Result<Vec<Manifest>, Failure> {
    let reading = read(files)?;
    if reading.diagnostics.iter().any(Diagnostic::is_error) {
        let lines: Vec<String> = reading.diagnostics.iter().map(ToString::to_string).collect();
        return Err(Failure::bad_input(format!("bad manifest\n{}", lines.join("\n"))));
    }
    for warning in &reading.diagnostics {
        warn(&warning.to_string());
    }
    Ok(reading.manifests)
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| {
        Failure::bad_input(format!(
            "cannot read {}: {error}: name a YAML file of manifests with -f",
            file.display()
        ))
    })
}
