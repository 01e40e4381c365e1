//! Options and printing that several subcommands share.

use std::io::{ErrorKind, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
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
    ///
    /// # Errors
    /// The address is not one of HTTP.
    pub fn http(&self) -> Result<Http, Failure> {
        match self.http.split_once("://") {
            None | Some(("http", _)) => Ok(Http::new(&self.http, self.token.clone())),
            Some((scheme, _)) => Err(Failure::bad_input(format!(
                "'{}' cannot be asked: {scheme}:// is not HTTP; give the address of the dashboard, \
                 such as --http http://127.0.0.1:8787",
                self.http
            ))),
        }
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

/// Rows in aligned columns, two spaces apart, no space at the ends of lines.
pub fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// `1 task`, `2 tasks`.
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_spaces() {
        let rows = [["long name", "1"], ["b", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&["NAME", "N"], rows), "NAME       N\nlong name  1\nb\n");
    }
}
