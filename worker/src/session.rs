//! The connection with the scheduler: made, kept, and made again.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use dasklet_protocol::{
    MAX_MESSAGE_BYTES, PROTOCOL_VERSION,
    v1::{self, scheduler_client::SchedulerClient},
};
use foldhash::HashSet;
use futures::Stream;
use tokio::time::Instant as Deadline;
use tonic::{Streaming, transport::Endpoint};

use crate::{
    assign,
    memory::cpu_seconds,
    options::Settings,
    own_address,
    worker::{Worker, WorkerError, lock},
};

/// A try to connect takes no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between the hand-over of an announcement and the start of its run: the connection writes in
/// its next turn, which is long over by then.
const WRITTEN_AFTER: Duration = Duration::from_millis(2);

/// What a worker says of itself, whatever session it is in.
#[derive(Debug)]
pub(crate) struct Identity {
    pub boot_nonce: String,
    resources: Vec<v1::ResourceAmount>,
}

impl Identity {
    pub fn new(settings: &Settings) -> Self {
        Self {
            boot_nonce: uuid::Uuid::new_v4().to_string(),
            resources: settings
                .offer
                .iter()
                .map(|(name, thousandths)| v1::ResourceAmount {
                    name: name.to_owned(),
                    thousandths,
                })
                .collect(),
        }
    }

    /// The first message, of a worker that holds nothing and whose outputs are read there.
    pub fn hello(&self, settings: &Settings, data_address: String) -> v1::WorkerHello {
        v1::WorkerHello {
            protocol_version: PROTOCOL_VERSION,
            name: settings.name.clone(),
            instance: settings.instance.clone(),
            boot_nonce: self.boot_nonce.clone(),
            data_address,
            resources: self.resources.clone(),
            group: settings.group.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            host: settings.host.clone(),
            ..v1::WorkerHello::default()
        }
    }
}

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The worker is to go.
    Shutdown,
    /// The connection broke, or was never made.
    Lost(String),
    /// The scheduler does not want it.
    Rejected(String),
}

/// An endpoint for streams of many small or few large messages.
pub(crate) fn endpoint(authority: &str) -> Result<Endpoint, String> {
    Endpoint::from_shared(format!("http://{authority}"))
        .map(|endpoint| {
            endpoint
                .tcp_nodelay(true)
                .connect_timeout(CONNECT_TIMEOUT)
                .initial_stream_window_size(8 << 20)
                .initial_connection_window_size(32 << 20)
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(20))
                .keep_alive_while_idle(true)
        })
        .map_err(|error| format!("'{authority}' is no address: {error}"))
}

/// The whole reason of an error, from the outermost to the innermost.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// Connects to the scheduler, `outbox` being what is sent.
pub(crate) async fn connect(
    scheduler: &str,
    outbox: impl Stream<Item = v1::WorkerMessage> + Send + 'static,
) -> Result<Streaming<v1::WorkerCommand>, String> {
    let channel = endpoint(scheduler)?.connect().await.map_err(|error| whole(&error))?;
    SchedulerClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .worker_session(outbox)
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| status.message().to_owned())
}

/// Waits longer after each failure, and never in step with others.
pub(crate) fn backoff(failures: u32) -> Duration {
    let longest = 50u64 << failures.min(6);
    let random = uuid::Uuid::new_v4().as_u128() as u64;
    Duration::from_millis(longest / 2 + random % longest)
}

/// Keeps a session with the scheduler for as long as the worker lives.
pub(crate) async fn keep_up(
    worker: &Arc<Worker>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut leave_by: Option<Deadline> = None;
    let mut silent_since = Instant::now();
    let mut failures = 0;
    let mut generation = 0;
    loop {
        let end = {
            let mut session =
                std::pin::pin!(one_session(worker, generation, &mut silent_since, &mut failures));
            loop {
                let too_late = async move {
                    match leave_by {
                        Some(deadline) => tokio::time::sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    end = &mut session => break end,
                    () = too_late => {
                        tracing::warn!("not drained within {:?}, leaving", worker.settings.drain_timeout);
                        break End::Shutdown;
                    }
                    () = &mut shutdown, if leave_by.is_none() => {
                        leave_by = Some(Deadline::now() + worker.settings.drain_timeout);
                        worker.leaving.store(true, Ordering::Relaxed);
                        worker.agenda.tell(|message| message.leaving = true);
                        worker.drain(true);
                    }
                }
            }
        };
        generation = worker.agenda.end_session();
        worker.fetcher.end_session(generation);
        worker.store.begin_session(generation);
        worker.commands.end_session();
        let reason = match end {
            End::Shutdown => return Ok(()),
            End::Rejected(reason) => {
                return Err(WorkerError::Rejected {
                    scheduler: worker.settings.scheduler.clone(),
                    name: worker.settings.name.clone(),
                    reason,
                });
            }
            End::Lost(reason) => reason,
        };
        let waited = silent_since.elapsed();
        let leaving_unknown = leave_by.is_some() && worker.epoch.load(Ordering::Relaxed) == 0;
        if leaving_unknown {
            return Ok(());
        }
        if waited >= worker.settings.death_timeout {
            return Err(WorkerError::Unreachable {
                scheduler: worker.settings.scheduler.clone(),
                waited: worker.settings.death_timeout,
                reason,
            });
        }
        tracing::warn!("no connection with the scheduler: {reason}; trying again");
        let pause = backoff(failures).min(worker.settings.death_timeout - waited);
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut shutdown, if leave_by.is_none() => {
                leave_by = Some(Deadline::now() + worker.settings.drain_timeout);
                worker.leaving.store(true, Ordering::Relaxed);
                worker.drain(true);
            }
        }
    }
}

async fn one_session(
    worker: &Arc<Worker>,
    generation: u64,
    silent_since: &mut Instant,
    failures: &mut u32,
) -> End {
    // Asked each time: names and addresses change while a worker lives.
    let finding = own_address::data_address(&worker.settings, worker.data_port);
    let data_address = match tokio::time::timeout(CONNECT_TIMEOUT, finding).await {
        Ok(Ok(address)) => address,
        Ok(Err(reason)) => return End::Lost(reason),
        Err(_) => return End::Lost("looking up its name takes too long".to_owned()),
    };
    let hello = Some(Box::new(hello(worker, data_address.clone())));
    let outbox = Outbox { worker: worker.clone(), generation, hello };
    let connecting = connect(&worker.settings.scheduler, outbox);
    let mut commands = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(commands)) => commands,
        Ok(Err(reason)) => return End::Lost(reason),
        Err(_) => return End::Lost("it does not answer".to_owned()),
    };
    let mut heartbeats: Option<tokio::time::Interval> = None;
    let reason = loop {
        let beat = async {
            match &mut heartbeats {
                Some(heartbeats) => heartbeats.tick().await,
                None => std::future::pending().await,
            }
        };
        let command = tokio::select! {
            command = commands.message() => command,
            _ = beat => {
                let heartbeat = heartbeat(worker);
                worker.agenda.tell(|message| message.heartbeat = Some(heartbeat));
                continue;
            }
        };
        let mut command = match command {
            Ok(Some(command)) => command,
            Ok(None) => break "it closed the connection".to_owned(),
            Err(status) => break status.message().to_owned(),
        };
        if let Some(rejected) = command.rejected.take() {
            return End::Rejected(rejected.reason);
        }
        if let Some(welcome) = command.welcome.take() {
            let every = Duration::from_millis(u64::from(welcome.heartbeat_millis.max(50)));
            heartbeats = Some(tokio::time::interval(every));
            *failures = 0;
            worker.welcome(generation, welcome);
            tracing::debug!("outputs are read at {data_address}");
        }
        if command.shutdown {
            return End::Shutdown;
        }
        assign::obey(worker, generation, command);
    };
    if heartbeats.is_some() {
        // Until now there was a connection, however little was said.
        *silent_since = Instant::now();
    }
    End::Lost(reason)
}

fn hello(worker: &Worker, data_address: String) -> v1::WorkerMessage {
    let epoch = worker.epoch.load(Ordering::Relaxed);
    v1::WorkerMessage {
        hello: Some(v1::WorkerHello {
            epoch,
            held: (epoch != 0).then(|| worker.store.held()),
            leaving: worker.leaving.load(Ordering::Relaxed),
            ..worker.identity.hello(&worker.settings, data_address)
        }),
        ..v1::WorkerMessage::default()
    }
}

fn heartbeat(worker: &Worker) -> v1::Heartbeat {
    let figures = worker.store.figures();
    let (running, queued) = worker.agenda.figures();
    v1::Heartbeat {
        memory_limit: worker.settings.memory_limit,
        memory_resident: worker.counters.resident.load(Ordering::Relaxed),
        bytes_stored: figures.in_memory,
        bytes_spilled: figures.on_disk,
        spilled_total: figures.spilled_total,
        cpu_seconds: cpu_seconds(),
        running: running + worker.commands.running(),
        queued: queued + worker.fetcher.waiting(),
        paused: worker.counters.paused.load(Ordering::Relaxed),
        transferred_in: worker.counters.transferred_in.load(Ordering::Relaxed),
        transferred_out: worker.counters.transferred_out.load(Ordering::Relaxed),
    }
}

impl Worker {
    fn welcome(&self, generation: u64, welcome: v1::WorkerWelcome) {
        let before = self.epoch.swap(welcome.epoch, Ordering::Relaxed);
        self.id.store(welcome.worker, Ordering::Relaxed);
        self.fetcher.begin_session(welcome.worker);
        self.agenda.set_inline_limit(welcome.inline_limit);
        lock(&self.arrays).clear();
        let keep: &[u64] = if before == welcome.epoch { &welcome.keep } else { &[] };
        self.store.keep_only(keep);
        // What the scheduler of before wanted is forgotten; whoever is to drain is told again.
        self.agenda.set_draining(self.leaving.load(Ordering::Relaxed));
        self.welcomed.store(generation, Ordering::Release);
        tracing::info!("connected with the scheduler as worker {}", welcome.worker);
    }

    /// Stops starting tasks and gives back what has not started, or takes tasks again.
    pub(crate) fn drain(&self, draining: bool) {
        self.agenda.set_draining(draining);
        if draining {
            let returned = self.fetcher.give_back(None);
            if !returned.is_empty() {
                self.agenda.tell(|message| message.returned.extend(returned));
            }
        }
    }

    /// Gives these runs back, as far as they have not started.
    pub(crate) fn give_back(&self, runs: &HashSet<u64>) {
        let returned = self.fetcher.give_back(Some(runs));
        if !returned.is_empty() {
            self.agenda.tell(|message| message.returned.extend(returned));
        }
        self.agenda.give_back(Some(runs));
    }
}

/// Reports runs that take longer than they may.
pub(crate) async fn watch_timeouts(worker: Arc<Worker>) {
    loop {
        let next = worker.agenda.time_out();
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = worker.agenda.timeouts.notified() => {}
        }
    }
}

/// What is sent: each message carries all that is known when the connection asks for it.
struct Outbox {
    worker: Arc<Worker>,
    generation: u64,
    hello: Option<Box<v1::WorkerMessage>>,
}

impl Stream for Outbox {
    type Item = v1::WorkerMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(*hello));
        }
        let news = match self.worker.agenda.poll_news(context, self.generation) {
            Poll::Ready(Some(news)) => news,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let (mut message, announced) = news;
        // What was made again, or read again, since it went is not gone.
        self.worker.store.only_gone(&mut message.dropped);
        if !announced.is_empty() {
            let worker = self.worker.clone();
            tokio::spawn(async move {
                tokio::time::sleep(WRITTEN_AFTER).await;
                worker.agenda.announced(announced);
            });
        }
        Poll::Ready(Some(message))
    }
}
