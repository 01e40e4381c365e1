//! `dasklet lint`: what is wrong with manifests, without running anything.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Output, counted, print, print_json};
use crate::{exit::Failure, manifests::read};

/// Checks manifests: fields, values, and what the documents say about each other.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet lint -f cluster.yaml
  dasklet lint -f examples/flights.yaml -f job.yaml --output json

Ends with code 2 if there are errors, 0 if there are none or only warnings.")]
pub struct Lint {
    /// Manifests: YAML files of one or more documents; - reads standard input
    #[arg(long = "file", short = 'f', required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
pub fn run(lint: &Lint) -> Result<(), Failure> {
    let reading = read(&lint.files)?;
    let errors = reading.diagnostics.iter().filter(|found| found.is_error()).count();
    let warnings = reading.diagnostics.len() - errors;
    match lint.output {
        Output::Json => {
            let answer = json!({
                "documents": reading.manifests.len(),
                "errors": errors,
                "warnings": warnings,
                "diagnostics": reading.diagnostics,
            });
            print(&print_json(&answer)?)?;
        }
        Output::Table => {
            let mut text = String::new();
            for found in &reading.diagnostics {
                text.push_str(&format!("{found}\n"));
            }
            text.push_str(&format!(
                "{}, {}, {}\n",
                counted(reading.manifests.len() as u64, "document"),
                counted(errors as u64, "error"),
                counted(warnings as u64, "warning"),
            ));
            print(&text)?;
        }
    }
    if errors > 0 {
        return Err(Failure::bad_input(""));
    }
    Ok(())
}
