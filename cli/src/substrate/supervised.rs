//! A cluster's scheduler, which is started again where it was if it dies.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    cluster::Ports,
    home::Home,
    process::{Ended, Process, cause_of, log_tail},
    scheduler::{Addresses, start},
};
use crate::exit::Failure;

/// A scheduler that dies more often than this within [`SOON`] is given up.
const MOST_RESTARTS: usize = 3;
const SOON: Duration = Duration::from_secs(60);

/// A scheduler process, and how to start the next one.
pub struct SupervisedScheduler {
    name: String,
    /// Those that workers and clients know.
    ports: Ports,
    home: Arc<Home>,
    ended: mpsc::UnboundedSender<Ended>,
    /// None while it is being started again.
    process: Option<Process>,
    /// One that ended before it was known to have started, and how.
    ended_early: Option<(u32, String)>,
    starts: (mpsc::UnboundedSender<Start>, mpsc::UnboundedReceiver<Start>),
    recent: Vec<Instant>,
}

type Start = Result<Process, Failure>;

/// What a child's end means for the scheduler.
pub enum SchedulerEnd {
    /// It was another child.
    Another,
    /// It died for this reason, and is being started again.
    Restarting(String),
    /// It died for this reason, once too often.
    GivenUp(String),
    /// It was not known to have started again, which [`SupervisedScheduler::started`] tells.
    NeverStarted,
}

impl SupervisedScheduler {
    /// A scheduler that listens at `addresses`; ends of those to come are told to `ended`.
    pub fn new(
        name: String,
        process: Process,
        host: &str,
        addresses: &Addresses,
        home: Arc<Home>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Self {
        let ports = Ports {
            host: host.to_owned(),
            port: port_of(&addresses.scheduler),
            http_port: port_of(&addresses.http),
        };
        let (process, starts) = (Some(process), mpsc::unbounded_channel());
        let (ended_early, recent) = (None, Vec::new());
        Self { name, ports, home, ended, process, ended_early, starts, recent }
    }

    /// True for the name that its end is told under.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    /// Takes note of a child's end, and starts the scheduler again if it was that one.
    pub fn note_end(&mut self, ended: &Ended) -> SchedulerEnd {
        if !self.is_called(&ended.name) {
            return SchedulerEnd::Another;
        }
        let Some(process) = self.process.take() else {
            self.ended_early = Some((ended.pid, cause_of(ended.status).to_string()));
            return SchedulerEnd::NeverStarted;
        };
        let words = log_tail(&process.log, 3).join("; ");
        let cause = cause_of(ended.status);
        let reason = if words.is_empty() { cause.to_string() } else { format!("{cause}: {words}") };
        if self.try_again() {
            SchedulerEnd::Restarting(reason)
        } else {
            SchedulerEnd::GivenUp(reason)
        }
    }

    /// Starts it again, unless that was done too often of late.
    fn try_again(&mut self) -> bool {
        self.recent.retain(|at| at.elapsed() < SOON);
        let may = self.recent.len() < MOST_RESTARTS;
        if may {
            self.recent.push(Instant::now());
            self.start_again();
        }
        may
    }

    fn start_again(&self) {
        let (name, ports) = (self.name.clone(), self.ports.clone());
        let (home, ended, done) =
            (Arc::clone(&self.home), self.ended.clone(), self.starts.0.clone());
        tokio::spawn(async move {
            let started = start(&name, &ports, &home, ended).await.map(|(process, _)| process);
            // Nobody listens any more if the cluster has ended meanwhile.
            let _ = done.send(started);
        });
    }

    /// Waits until it has been started again, each time that it is.
    ///
    /// # Errors
    /// It cannot be started again.
    pub async fn started(&mut self) -> Result<(), Failure> {
        let Some(started) = self.starts.1.recv().await else {
            return std::future::pending().await;
        };
        let failure = match (started, self.ended_early.take()) {
            (Ok(process), Some((pid, cause))) if process.pid == pid => {
                Failure::no_cluster(format!("the scheduler died: {cause}"))
            }
            (Ok(process), _) => {
                self.process = Some(process);
                return Ok(());
            }
            // It may have been killed before it said where it listens.
            (Err(failure), _) => failure,
        };
        if self.try_again() { Ok(()) } else { Err(failure) }
    }

    /// The process, to be ended.
    pub fn take(&mut self) -> Option<Process> {
        self.process.take()
    }
}

/// The port at the end of an address; 0 takes a free one.
fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_at_the_end_of_addresses() {
        for (address, port) in [("tcp://127.0.0.1:8786", 8786), ("http://[::1]:80", 80), ("x", 0)] {
            assert_eq!(port_of(address), port, "{address}");
        }
    }
}
