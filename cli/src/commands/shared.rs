//! Options and printing that several subcommands share.

use std::io::{ErrorKind, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{exit::Failure, http::Http};

/// Form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

/// Which scheduler to ask over HTTP.
#[derive(Debug, Args)]
pub struct At {
    /// HTTP address of the scheduler: the dashboard that `dasklet up` prints
    #[arg(long, env = "DASKLET_HTTP", default_value = "http://127.0.0.1:8787", value_name = "URL")]
    http: String,
    /// Token of the scheduler's HTTP API, where it asks for one
    #[arg(long, env = "DASKLET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
}

impl At {
    /// A client for that address.
    pub fn http(&self) -> Http {
        Http::new(&self.http, self.token.clone())
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}

/// A value as an indented JSON document with an end of line.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn print_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::failed(format!("cannot write the answer as JSON: {error}")))
}
