//! What happened in a run, as it happens: for the file of events, for the person who watches,
//! and for the account at the end.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use dasklet_core::DeathCause;
use serde::Serialize;

use crate::{
    account::Account,
    clock::{rfc3339, unix_micros},
    console::Console,
    exit::Failure,
};

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A scheduler answers.
    ClusterStarted {
        /// The cluster.
        cluster: String,
        /// For clients.
        scheduler: String,
        /// For people.
        dashboard: String,
    },
    /// A scheduler died and is being started again.
    SchedulerDied {
        /// The cluster.
        cluster: String,
        /// Why it died.
        reason: String,
    },
    /// A group is to have another number of workers.
    Decision {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Members it should have had so far.
        from: u32,
        /// Members it should have now.
        to: u32,
        /// Why.
        reason: String,
    },
    /// A worker process was started.
    WorkerStarted {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Its name.
        worker: String,
        /// Its process id.
        pid: u32,
    },
    /// A worker takes tasks.
    WorkerServing {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Its name.
        worker: String,
        /// Seconds from its start.
        after_seconds: f64,
    },
    /// A worker is to finish and go.
    WorkerDraining {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Its name.
        worker: String,
    },
    /// A worker that was to go stays.
    WorkerKept {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Its name.
        worker: String,
    },
    /// A worker process is gone.
    WorkerEnded {
        /// The cluster.
        cluster: String,
        /// The worker group.
        group: String,
        /// Its name.
        worker: String,
        /// Its process id.
        pid: u32,
        /// Why, as a person would say it.
        reason: String,
        /// Why.
        #[serde(flatten)]
        cause: DeathCause,
        /// False: nobody wanted it to go.
        planned: bool,
        /// Seconds it lived.
        after_seconds: f64,
        /// The last lines of its log, where nobody wanted it to go.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// Tasks wait that no worker can take.
    Blocked {
        /// The cluster.
        cluster: String,
        /// How many tasks.
        tasks: u64,
        /// What they ask for.
        resources: String,
        /// Why no worker takes them.
        reason: String,
    },
    /// The scheduler does not answer: sizes stay as they are.
    DemandMissing {
        /// The cluster.
        cluster: String,
        /// Why.
        reason: String,
    },
    /// A job begins.
    JobStarted {
        /// The job.
        job: String,
        /// Its cluster.
        cluster: String,
    },
    /// How far a job is.
    JobProgress {
        /// The job.
        job: String,
        /// Tasks in all.
        total: u64,
        /// Ended well.
        done: u64,
        /// Handed to workers.
        running: u64,
        /// Failed.
        failed: u64,
        /// Run again because their outputs were lost.
        recomputed: u64,
        /// Workers connected.
        workers: u32,
    },
    /// All tasks of a query's stage have ended.
    StageEnded {
        /// The job.
        job: String,
        /// Which stage, counted from 0 as in `EXPLAIN`.
        stage: usize,
        /// What it does.
        name: String,
        /// How many tasks it had.
        tasks: u32,
    },
    /// A job is over.
    JobEnded {
        /// The job.
        job: String,
        /// Its cluster.
        cluster: String,
        /// It went well.
        succeeded: bool,
        /// Seconds it took.
        seconds: f64,
        /// Tasks that ended well.
        done: u64,
        /// Tasks that failed.
        failed: u64,
        /// Runs that repeated work whose outputs were lost.
        recomputed: u64,
        /// What went wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    seconds: f64,
    #[serde(flatten)]
    event: &'a Event,
}

/// Takes events and passes them on. Clones share one record.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
    console: Console,
}

struct Inner {
    begun: Instant,
    file: Option<BufWriter<File>>,
    account: Account,
}

impl Journal {
    /// A record that begins now; `events` is the file of JSON lines, if one is wanted.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(events: Option<&Path>, console: Console) -> Result<Self, Failure> {
        let file = events
            .map(|path| {
                File::create(path).map(BufWriter::new).map_err(|error| {
                    Failure::bad_input(format!(
                        "cannot write events to {}: {error}: name a file in a folder that exists",
                        path.display()
                    ))
                })
            })
            .transpose()?;
        let inner = Inner { begun: Instant::now(), file, account: Account::default() };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), console })
    }

    /// Records an event.
    pub fn record(&self, event: Event) {
        let mut inner = self.lock();
        let seconds = round_millis(inner.begun.elapsed().as_secs_f64());
        inner.account.take(&event, seconds);
        if let Some(file) = &mut inner.file {
            let record = Record { time: rfc3339(unix_micros()), seconds, event: &event };
            // A full disk costs the record of events, never the run.
            if let Ok(line) = serde_json::to_string(&record) {
                let _ = writeln!(file, "{line}").and_then(|()| file.flush());
            }
        }
        drop(inner);
        self.console.event(seconds, &event);
    }

    /// The sums so far.
    pub fn account(&self) -> Account {
        self.lock().account.clone().closed()
    }

    /// Where people read along.
    pub fn console(&self) -> &Console {
        &self.console
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Seconds to the millisecond, as people and files read them.
pub fn round_millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
