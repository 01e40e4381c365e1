//! Workers that answer every task at once and run nothing, to measure the scheduler alone.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use dasklet_protocol::v1;
use foldhash::HashMap;
use futures::Stream;

use crate::{
    news::Columns,
    options::{Options, Settings},
    session::{Identity, backoff, connect},
    worker::{WorkerError, lock},
};

/// Nothing listens there: all its outputs are empty and travel inside the news.
const NOWHERE: &str = "127.0.0.1:1";

/// Runs a zero worker on the calling runtime until the scheduler sends it away, or `shutdown` is
/// ready. Many of them may share a process.
///
/// # Errors
/// As [`crate::worker::run`].
pub async fn zero_worker(
    scheduler: &str,
    name: &str,
    slots: u32,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    let mut options = Options::new(scheduler);
    options.name = Some(name.to_owned());
    options.instance = Some(name.to_owned());
    options.slots = Some(slots);
    let settings = Settings::resolve(&options).map_err(WorkerError::Option)?;
    run(settings, shutdown).await
}

pub(crate) async fn run(
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let identity = Identity::new(&settings);
    let mut silent_since = Instant::now();
    let mut failures = 0;
    loop {
        let answers = Arc::new(Mutex::new(Answers::default()));
        lock(&answers).rest.hello = Some(identity.hello(&settings, NOWHERE.to_owned()));
        let mut welcomed = false;
        let reason = tokio::select! {
            () = &mut shutdown => return Ok(()),
            end = session(&settings, &answers, &mut welcomed) => match end {
                Ok(()) => return Ok(()),
                Err(Lost::Rejected(reason)) => {
                    let (scheduler, name) = (settings.scheduler, settings.name);
                    return Err(WorkerError::Rejected { scheduler, name, reason });
                }
                Err(Lost::Connection(reason)) => reason,
            },
        };
        if welcomed {
            silent_since = Instant::now();
            failures = 0;
        }
        if silent_since.elapsed() > settings.death_timeout {
            let (scheduler, waited) = (settings.scheduler, settings.death_timeout);
            return Err(WorkerError::Unreachable { scheduler, waited, reason });
        }
        tokio::time::sleep(backoff(failures)).await;
        failures += 1;
    }
}

enum Lost {
    Rejected(String),
    Connection(String),
}

/// What is still to be sent.
#[derive(Default)]
struct Answers {
    finished: Columns,
    rest: v1::WorkerMessage,
    has_rest: bool,
    writer: Option<Waker>,
}

struct Outbox(Arc<Mutex<Answers>>);

impl Stream for Outbox {
    type Item = v1::WorkerMessage;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut answers = lock(&self.0);
        if answers.finished.is_empty() && !answers.has_rest && answers.rest.hello.is_none() {
            answers.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        answers.has_rest = false;
        let mut message = std::mem::take(&mut answers.rest);
        if !answers.finished.is_empty() {
            message.finished = Some(std::mem::take(&mut answers.finished).into_message());
        }
        Poll::Ready(Some(message))
    }
}

async fn session(
    settings: &Settings,
    answers: &Arc<Mutex<Answers>>,
    welcomed: &mut bool,
) -> Result<(), Lost> {
    let mut commands =
        connect(&settings.scheduler, Outbox(answers.clone())).await.map_err(Lost::Connection)?;
    let mut outputs: HashMap<u32, u32> = HashMap::default();
    let mut heartbeats = tokio::time::interval(Duration::from_millis(500));
    heartbeats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            command = commands.message() => command,
            _ = heartbeats.tick() => {
                tell(answers, |answers| {
                    answers.has_rest = true;
                    answers.rest.heartbeat = Some(v1::Heartbeat {
                        memory_limit: settings.memory_limit,
                        cpu_seconds: crate::memory::cpu_seconds(),
                        ..v1::Heartbeat::default()
                    });
                });
                continue;
            }
        };
        let command = command
            .map_err(|status| Lost::Connection(status.message().to_owned()))?
            .ok_or_else(|| Lost::Connection("it closed the connection".to_owned()))?;
        if let Some(rejected) = command.rejected {
            return Err(Lost::Rejected(rejected.reason));
        }
        if let Some(welcome) = &command.welcome {
            *welcomed = true;
            heartbeats = tokio::time::interval(Duration::from_millis(u64::from(
                welcome.heartbeat_millis.max(50),
            )));
        }
        if command.shutdown {
            return Ok(());
        }
        tell(answers, |answers| answer(answers, command, &mut outputs));
    }
}

fn tell(answers: &Mutex<Answers>, change: impl FnOnce(&mut Answers)) {
    let mut guard = lock(answers);
    change(&mut guard);
    let writer = guard.writer.take();
    drop(guard);
    if let Some(writer) = writer {
        writer.wake();
    }
}

fn answer(answers: &mut Answers, command: v1::WorkerCommand, outputs: &mut HashMap<u32, u32>) {
    for spec in &command.forget_specs {
        outputs.remove(spec);
    }
    for define in &command.define {
        outputs.insert(define.spec, define.outputs);
    }
    for assign in &command.assign {
        let outputs = assign.spec.as_ref().map_or(1, |spec| spec.outputs);
        finish(answers, assign.run, outputs);
    }
    for group in &command.assign_members {
        let outputs = outputs.get(&group.spec).copied().unwrap_or(1);
        for run in &group.run {
            finish(answers, *run, outputs);
        }
    }
    for replicate in &command.replicate {
        answers.has_rest = true;
        let copies = answers.rest.copies.get_or_insert_default();
        copies.task.push(replicate.task);
        copies.nbytes.push(0);
    }
}

fn finish(answers: &mut Answers, run: u64, outputs: u32) {
    if outputs <= 1 {
        answers.finished.push(run, 0, 1, Some(&[]));
        return;
    }
    answers.has_rest = true;
    answers.rest.finished_outputs.push(v1::FinishedOutputs {
        run,
        nbytes: vec![0; outputs as usize],
        micros: 1,
    });
}
