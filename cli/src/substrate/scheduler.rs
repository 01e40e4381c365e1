//! Starts the scheduler process of a cluster and learns its addresses.

use std::{ffi::OsString, time::Duration};

use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    cluster::Ports,
    home::Home,
    process::{Ended, Launch, Process, Role, log_tail},
};
use crate::exit::Failure;

/// A scheduler that has not said its addresses by then does not start.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the scheduler prints once it listens.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// For clients and workers: `tcp://host:port`.
    pub scheduler: String,
    /// For HTTP: `http://host:port`.
    #[serde(alias = "dashboard")]
    pub http: String,
}

/// Starts a scheduler and waits until it listens.
///
/// # Errors
/// It cannot be started, or ends at once (a port in use): its own words.
pub async fn start(
    name: &str,
    ports: &Ports,
    home: &Home,
    ended: mpsc::UnboundedSender<Ended>,
) -> Result<(Process, Addresses), Failure> {
    let args: [&str; 8] = [
        "--host",
        &ports.host,
        "--port",
        &ports.port.to_string(),
        "--http-port",
        &ports.http_port.to_string(),
        "--output",
        "json",
    ];
    let launch = Launch {
        role: Role::Scheduler,
        name: name.to_owned(),
        args: args.iter().map(OsString::from).collect(),
        env: Default::default(),
        log: home.log(name),
    };
    let (process, mut lines) = Process::start(launch, ended).map_err(|error| {
        Failure::no_cluster(format!("cannot start the scheduler process: {error}"))
    })?;
    let first = tokio::time::timeout(DEADLINE, lines.next_line()).await;
    match first {
        Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
            Ok(addresses) => {
                // It may print more; what nobody reads must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok((process, addresses))
            }
            Err(error) => Err(Failure::no_cluster(format!(
                "the scheduler's first line is not its addresses ({error}): {line}"
            ))),
        },
        Ok(_) => Err(Failure::no_cluster(words_of(&process))),
        Err(_) => Err(Failure::no_cluster(format!(
            "the scheduler did not listen within {} s: {}",
            DEADLINE.as_secs(),
            words_of(&process)
        ))),
    }
}

fn words_of(process: &Process) -> String {
    let words = log_tail(&process.log, 3);
    if words.is_empty() {
        "the scheduler ended without a word: run `dasklet scheduler` by itself to see why"
            .to_owned()
    } else {
        words.join("\n").trim_start_matches("dasklet: ").to_owned()
    }
}
