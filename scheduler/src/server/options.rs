//! What the scheduler is started with.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum};

/// The flags of a scheduler.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub host: String,
    /// Port for clients and workers; 0 takes a free one
    #[arg(long, default_value_t = 8786)]
    pub port: u16,
    /// Port for HTTP: health, metrics, API, dashboard; 0 takes a free one
    #[arg(long, default_value_t = 8787)]
    pub http_port: u16,
    /// Write the addresses, as one JSON line, into this file once the scheduler listens
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
    /// How the addresses are printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Seconds for which a session outlives its client's connection
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub session_grace: f64,
    /// Seconds of silence after which a worker counts as lost
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub worker_ttl: f64,
    /// Most tasks known at once, members of task arrays counted one by one
    #[arg(long, default_value_t = 100_000_000, value_name = "NUMBER")]
    pub max_tasks: u64,
    /// Most client sessions at once
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER")]
    pub max_sessions: u32,
    /// Most workers at once
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER")]
    pub max_workers: u32,
    /// Bearer token that HTTP requests which change something must carry; none: all may
    #[arg(long, env = "DASKLET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Stop when the process that started this one ends
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// How the addresses are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line for people.
    Text,
    /// A JSON line.
    Json,
    /// Not at all.
    None,
}

#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

impl Default for Options {
    /// As when no flag is given.
    fn default() -> Self {
        Alone::parse_from(["dasklet-scheduler"]).options
    }
}

impl Options {
    /// For use inside a process, as tests do: free ports of the loopback address, and silence.
    #[must_use]
    pub fn local() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            http_port: 0,
            output: Output::None,
            ..Self::default()
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_secs_f64(self.session_grace)
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_secs_f64(self.worker_ttl)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1e9).contains(&value) => Ok(value),
        _ => Err(format!("'{text}' is not a number of seconds between 0 and 1000000000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_checked() {
        for (text, good) in
            [("0", true), ("2.5", true), ("-1", false), ("x", false), ("NaN", false)]
        {
            assert_eq!(seconds(text).is_ok(), good, "{text}");
        }
    }
}
