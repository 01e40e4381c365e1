//! A worker as a whole.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
    time::Duration,
};

use dasklet_core::quantity::human_bytes;
use foldhash::HashMap;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    agenda::Agenda,
    command::{self, Commands},
    data, executor,
    fetch::Fetcher,
    memory,
    options::Settings,
    queue::Classes,
    registry::Registry,
    session::{self, Identity},
    spec::{Parser, Spec},
    store::{Scratch, Store},
    zero,
};
pub use crate::{entry::serve as main, options::Options, zero::zero_worker};

/// At the end of a worker, its commands are waited for so long; their guards need less.
const LONGEST_STOP: Duration = Duration::from_secs(5);
/// The same where whoever started the worker waits for it: a little more than guards need.
const LONGEST_STOP_ABANDONED: Duration = Duration::from_millis(2500);

/// Why a worker ended, when nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// An option is wrong.
    #[error("{0}")]
    Option(String),
    /// An operation is registered in a way that cannot work.
    #[error("{0}")]
    Registry(String),
    /// The scheduler does not want this worker.
    #[error("the scheduler at tcp://{scheduler} refused worker '{name}': {reason}")]
    Rejected {
        /// Its address.
        scheduler: String,
        /// The worker's name.
        name: String,
        /// As the scheduler put it.
        reason: String,
    },
    /// The scheduler could not be reached for too long.
    #[error(
        "cannot reach the scheduler at tcp://{scheduler} for {} s: {reason}; check that it runs and that the address is right, or raise --death-timeout",
        waited.as_secs_f64()
    )]
    Unreachable {
        /// Its address.
        scheduler: String,
        /// For how long.
        waited: Duration,
        /// What the last try said.
        reason: String,
    },
    /// The worker could not get what it needs from this machine.
    #[error("{what}: {reason}")]
    Machine {
        /// What it wanted to do.
        what: String,
        /// Why that failed.
        reason: String,
    },
}

/// Figures that many parts write.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub resident: AtomicU64,
    pub paused: AtomicBool,
    pub transferred_in: AtomicU64,
    pub transferred_out: AtomicU64,
}

/// What all parts of a worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub settings: Settings,
    pub identity: Identity,
    /// Where its outputs are served.
    pub data_port: u16,
    pub registry: Registry,
    pub agenda: Agenda,
    pub store: Store,
    pub parser: Parser,
    pub fetcher: Fetcher,
    pub commands: Commands,
    pub counters: Counters,
    /// Task arrays that the scheduler has described.
    pub arrays: Mutex<HashMap<u32, Arc<Spec>>>,
    /// The scheduler's present life; 0: none yet.
    pub epoch: AtomicU64,
    /// This worker's id in it.
    pub id: AtomicU32,
    /// The session in which the scheduler has last said welcome.
    pub welcomed: AtomicU64,
    /// Told to go: takes nothing new.
    pub leaving: AtomicBool,
}

/// Locks, whatever happened to a thread that held the lock before: all that is guarded so is
/// valid after every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs a worker on the calling runtime, until the scheduler shuts it down, or `shutdown` is
/// ready and the worker has been drained (or the time for that is over).
///
/// # Errors
/// Says in a sentence why the worker could not go on.
pub async fn run(
    options: Options,
    registry: Registry,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    run_unless(options, registry, shutdown, std::future::pending()).await
}

/// As [`run`], but when `abandoned` is ready, it stops at once, and its commands with it.
pub(crate) async fn run_unless(
    options: Options,
    registry: Registry,
    shutdown: impl Future<Output = ()>,
    abandoned: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    if let Some(problem) = registry.problems().first() {
        return Err(WorkerError::Registry(problem.clone()));
    }
    let settings = Settings::resolve(&options).map_err(WorkerError::Option)?;
    if options.zero {
        return tokio::select! {
            result = zero::run(settings, shutdown) => result,
            () = abandoned => Ok(()),
        };
    }
    let listener = listen(settings.data_port).await.map_err(|error| WorkerError::Machine {
        what: format!("cannot serve outputs on --data-port {}", settings.data_port),
        reason: error.to_string(),
    })?;
    let worker = Arc::new(assemble(settings, registry, &listener)?);
    executor::start(&worker).map_err(|error| WorkerError::Machine {
        what: format!("cannot start {} threads", worker.settings.slots),
        reason: error.to_string(),
    })?;
    tracing::info!(
        "worker '{}' offers {} slots and {}; outputs at port {}",
        worker.settings.name,
        worker.settings.slots,
        human_bytes(worker.settings.memory_limit),
        worker.data_port,
    );
    let ending = Ending(worker.clone());
    let mut parts = JoinSet::new();
    parts.spawn(data::serve(worker.clone(), listener));
    parts.spawn(memory::watch(worker.clone()));
    parts.spawn(command::start_all(worker.clone()));
    parts.spawn(session::watch_timeouts(worker.clone()));
    let (result, longest) = tokio::select! {
        result = session::keep_up(&worker, shutdown) => (result, LONGEST_STOP),
        () = abandoned => {
            worker.agenda.end_session();
            (Ok(()), LONGEST_STOP_ABANDONED)
        }
    };
    worker.commands.stop(longest).await;
    parts.shutdown().await;
    drop(ending);
    result
}

/// Ends what would outlive [`run`], also where that is dropped half-way: threads, which may be in
/// a long operation and hold on to the worker, and files.
struct Ending(Arc<Worker>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.agenda.stop();
        self.0.commands.end_session();
        self.0.store.scratch().remove();
    }
}

fn assemble(
    settings: Settings,
    registry: Registry,
    listener: &TcpListener,
) -> Result<Worker, WorkerError> {
    let scratch = Scratch::create(&settings.scratch).map_err(|error| WorkerError::Machine {
        what: format!("cannot make a scratch folder in {}", settings.scratch.display()),
        reason: error.to_string(),
    })?;
    let classes = Classes::new(&settings.offer);
    let share = |fraction: f64| (settings.memory_limit as f64 * fraction) as u64;
    Ok(Worker {
        identity: Identity::new(&settings),
        data_port: listener.local_addr().map_or(0, |address| address.port()),
        agenda: Agenda::new(settings.slots, classes.offer()),
        store: Store::new(
            scratch,
            share(settings.fractions.target),
            share(settings.fractions.pause),
        ),
        parser: Parser::new(registry.clone(), classes),
        registry,
        fetcher: Fetcher::new(share(0.1).max(16 << 20)),
        commands: Commands::default(),
        counters: Counters::default(),
        arrays: Mutex::default(),
        epoch: AtomicU64::new(0),
        id: AtomicU32::new(u32::MAX),
        welcomed: AtomicU64::new(u64::MAX),
        leaving: AtomicBool::new(false),
        settings,
    })
}

/// Listens on all addresses of both families, or of the one that there is.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(("::", port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
    }
}
