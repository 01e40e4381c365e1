//! Where log lines go: standard error, at the level of `DASKLET_LOG` (default: warnings).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("DASKLET_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that the log's disk does not take is lost; telling so there would panic.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in one process changes nothing.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
