//! The commands that run, so that they can be stopped.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use dasklet_core::quantity::human_bytes;
use foldhash::{HashMap, HashSet};
use tokio::sync::mpsc;

use crate::worker::lock;

/// Why a command is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was cancelled.
    Cancelled,
    /// The session with the scheduler is over.
    Forgotten,
    /// The worker needs its memory; the sentence says so.
    Memory(String),
}

#[derive(Debug)]
struct Entry {
    pid: Option<u32>,
    stop: mpsc::UnboundedSender<Stop>,
}

/// A run, after the session it belongs to: another life of the scheduler may give a new run the
/// number of an old one that has not ended yet.
pub(crate) type RunKey = (u64, u64);

/// Running commands by run.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    running: Mutex<HashMap<RunKey, Entry>>,
}

impl Commands {
    fn table(&self) -> MutexGuard<'_, HashMap<RunKey, Entry>> {
        lock(&self.running)
    }

    /// Lists a command that is about to start. What comes from the channel stops it.
    pub(super) fn enter(&self, run: RunKey) -> mpsc::UnboundedReceiver<Stop> {
        let (stop, stopped) = mpsc::unbounded_channel();
        self.table().insert(run, Entry { pid: None, stop });
        stopped
    }

    pub(super) fn started(&self, run: RunKey, pid: Option<u32>) {
        if let Some(entry) = self.table().get_mut(&run) {
            entry.pid = pid;
        }
    }

    pub(super) fn leave(&self, run: RunKey) {
        self.table().remove(&run);
    }

    /// Processes of the guards, by run.
    pub fn pids(&self) -> Vec<(RunKey, u32)> {
        self.table().iter().filter_map(|(run, entry)| Some((*run, entry.pid?))).collect()
    }

    /// How many there are.
    pub fn running(&self) -> u32 {
        self.table().len() as u32
    }

    /// Stops these runs of session `generation`.
    pub fn cancel(&self, generation: u64, runs: &HashSet<u64>) {
        for ((of, run), entry) in self.table().iter() {
            if *of == generation && runs.contains(run) {
                let _ = entry.stop.send(Stop::Cancelled);
            }
        }
    }

    /// The last rung of the memory ladder.
    pub fn kill_for_memory(&self, run: RunKey, bytes: u64, resident: u64, limit: u64) {
        if let Some(entry) = self.table().get(&run) {
            let _ = entry.stop.send(Stop::Memory(format!(
                "killed by its worker: it used {}, which brought the worker to {} of its limit of {}; give the worker more memory, or the command less to do",
                human_bytes(bytes),
                human_bytes(resident),
                human_bytes(limit)
            )));
        }
    }

    /// Stops all: their results are of no interest any more.
    pub fn end_session(&self) {
        for entry in self.table().values() {
            let _ = entry.stop.send(Stop::Forgotten);
        }
    }

    /// Stops all and waits for their end, but no longer than `longest`.
    pub async fn stop(&self, longest: Duration) {
        self.end_session();
        let begun = Instant::now();
        while self.running() > 0 && begun.elapsed() < longest {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
