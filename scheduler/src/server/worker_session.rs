//! A worker's connection: its messages become events.

use std::sync::Arc;

use dasklet_core::{DeathCause, ErrorClass, Resources, RunId, TaskId, WorkerId};
use dasklet_protocol::{PROTOCOL_VERSION, v1};
use tonic::Streaming;

use super::{
    limits,
    link::Link,
    shell::{Core, Shell},
    worker_outbox::WorkerOutbox,
    worker_table::{self, WorkerPeer},
};
use crate::state::{
    FailedRun, FinishedRun, Held, LostInput, SubmitError, Time, WorkerDescription, WorkerMetrics,
};

/// Serves a worker until its connection ends.
pub(super) async fn serve(
    shell: Arc<Shell>,
    link: Arc<Link>,
    mut messages: Streaming<v1::WorkerMessage>,
) {
    let mut worker = None;
    // Registered once, not for each message.
    let closed = link.closed.clone().cancelled_owned();
    tokio::pin!(closed);
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = &mut closed => break,
        };
        let Ok(Some(message)) = message else { break };
        let now = shell.now();
        let mut core = shell.lock();
        match worker {
            None => match greet(&shell, &mut core, now, &link, message) {
                Ok(id) => worker = Some(id),
                Err(reason) => {
                    link.reject(reason);
                    break;
                }
            },
            Some(id) => {
                if let Err(reason) = apply(&mut core, now, id, message) {
                    link.reject(reason);
                    break;
                }
            }
        }
        shell.changed(&mut core, now);
    }
    if let Some(worker) = worker {
        let now = shell.now();
        let mut core = shell.lock();
        worker_table::connection_ended(&mut core, now, worker, &link);
        shell.changed(&mut core, now);
    }
    link.end();
}

/// The first message: who comes, and what it holds already.
fn greet(
    shell: &Shell,
    core: &mut Core,
    now: Time,
    link: &Arc<Link>,
    message: v1::WorkerMessage,
) -> Result<WorkerId, String> {
    let Some(hello) = message.hello else {
        return Err("the first message of a worker must be its hello".to_owned());
    };
    check_version("worker", &hello.name, hello.protocol_version, &hello.version)?;
    let description = describe(&hello).map_err(|error| error.to_string())?;
    let name = description.name.clone();
    let older = core.workers.find(&name);
    if older.is_none() && core.workers.len() >= shell.options.max_workers as usize {
        return Err(format!(
            "there are {} workers, the most that this scheduler takes: raise --max-workers",
            core.workers.len()
        ));
    }
    let held = held(&hello, core.state.epoch().0);
    let (worker, keep) = core.state.add_worker(now, description, held);
    if let Some(older) = older.and_then(|older| core.workers.remove(older)) {
        older.link.reject(DeathCause::Replaced.to_string());
    }
    let count = u32::try_from(core.workers.len()).unwrap_or(u32::MAX);
    let outbox = WorkerOutbox::new(v1::WorkerWelcome {
        epoch: core.state.epoch().0,
        worker: worker.0,
        // All workers together send about 20 heartbeats a second, however many there are.
        heartbeat_millis: (count.saturating_mul(50)).clamp(500, 5000),
        inline_limit: core.inline_limit,
        keep: keep.iter().map(|task| task.to_bits()).collect(),
    });
    tracing::info!(worker = name, id = worker.0, "worker added");
    core.workers.insert(worker, WorkerPeer::new(name, hello.host, link.clone(), outbox, now));
    link.open(worker.0);
    Ok(worker)
}

/// Both ends must speak the same protocol.
pub(super) fn check_version(
    what: &str,
    name: &str,
    protocol: u32,
    version: &str,
) -> Result<(), String> {
    if protocol == PROTOCOL_VERSION {
        return Ok(());
    }
    let shown: String = version.chars().take(40).collect();
    let name: String = name.chars().take(limits::NAME_BYTES).collect();
    Err(format!(
        "{what} '{name}' (dasklet {shown}) speaks protocol version {protocol}, this scheduler \
         (dasklet {}) speaks version {PROTOCOL_VERSION}: use the same release of dasklet on both \
         sides",
        env!("CARGO_PKG_VERSION"),
    ))
}

fn describe(hello: &v1::WorkerHello) -> Result<WorkerDescription, SubmitError> {
    for (what, text) in [
        ("name of a worker", &hello.name),
        ("instance of a worker", &hello.instance),
        ("boot nonce of a worker", &hello.boot_nonce),
        ("group of a worker", &hello.group),
        ("data address of a worker", &hello.data_address),
        ("host of a worker", &hello.host),
    ] {
        limits::check(what, text.len(), limits::NAME_BYTES)?;
    }
    if hello.name.is_empty() {
        return Err(SubmitError::Limit(
            "a worker needs a name: give it one with --name".to_owned(),
        ));
    }
    Ok(WorkerDescription {
        name: hello.name.clone(),
        instance: hello.instance.clone(),
        boot_nonce: hello.boot_nonce.clone(),
        group: hello.group.clone(),
        data_address: hello.data_address.clone(),
        resources: resources(&hello.resources)?,
        leaving: hello.leaving,
    })
}

/// Resources as they come.
pub(super) fn resources(amounts: &[v1::ResourceAmount]) -> Result<Resources, SubmitError> {
    limits::check("number of named resources", amounts.len(), limits::RESOURCES)?;
    let mut resources = Resources::default();
    for amount in amounts {
        limits::check("name of a resource", amount.name.len(), limits::NAME_BYTES)?;
        resources.set(&amount.name, amount.thousandths);
    }
    Ok(resources)
}

fn held(hello: &v1::WorkerHello, epoch: u64) -> Vec<Held> {
    let copies = hello.held.as_ref().filter(|_| hello.epoch == epoch);
    let columns = copies.into_iter().flat_map(|copies| copies.task.iter().zip(&copies.nbytes));
    columns.map(|(task, nbytes)| Held { task: TaskId::from_bits(*task), nbytes: *nbytes }).collect()
}

/// A later message.
fn apply(
    core: &mut Core,
    now: Time,
    worker: WorkerId,
    message: v1::WorkerMessage,
) -> Result<(), String> {
    let Some(peer) = core.workers.get_mut(worker) else { return Ok(()) };
    peer.heard = now;
    for run in message.started {
        core.state.run_started(now, worker, RunId::from_bits(run));
    }
    if let Some(finished) = message.finished {
        finish(core, now, worker, &finished)?;
    }
    for finished in message.finished_outputs {
        let outputs = FinishedRun {
            nbytes: &finished.nbytes,
            inline: None,
            run_micros: finished.micros.into(),
        };
        if core.state.run_finished(now, worker, RunId::from_bits(finished.run), outputs) {
            core.metrics.run_seconds.observe_micros(finished.micros.into(), 1);
        }
    }
    for failed in message.failed {
        let run = RunId::from_bits(failed.run);
        core.state.run_failed(now, worker, run, failure(failed));
    }
    for run in message.returned {
        core.state.run_returned(now, worker, RunId::from_bits(run));
    }
    if let Some(copies) = message.copies {
        for (task, nbytes) in copies.task.iter().zip(&copies.nbytes) {
            core.state.copy_held(now, worker, TaskId::from_bits(*task), *nbytes);
        }
    }
    for task in message.dropped {
        core.state.copy_dropped(now, worker, TaskId::from_bits(task));
    }
    // After the dropped ones: a cache that is not there does no harm, one that is not known
    // would never be released.
    for task in message.cached {
        core.state.copy_cached(now, worker, TaskId::from_bits(task));
    }
    if let Some(beat) = message.heartbeat {
        core.state.heartbeat(now, worker, metrics(&beat));
    }
    if message.leaving {
        core.state.worker_leaving(now, worker);
    }
    Ok(())
}

/// The runs that ended well, column by column.
fn finish(
    core: &mut Core,
    now: Time,
    worker: WorkerId,
    finished: &v1::Finished,
) -> Result<(), String> {
    let count = finished.run.len();
    let inlined = finished.inline_length.len();
    if finished.nbytes.len() != count
        || finished.micros.len() != count
        || (inlined != 0 && inlined != count)
    {
        return Err("the columns of a worker's finished runs have different lengths".to_owned());
    }
    let mut values = &finished.inline_bytes[..];
    for position in 0..count {
        let length = finished.inline_length.get(position).copied().unwrap_or(0) as usize;
        let inline = match length.checked_sub(1) {
            None => None,
            Some(length) => {
                let Some((value, rest)) = values.split_at_checked(length) else {
                    return Err("a worker's inlined values end too early".to_owned());
                };
                values = rest;
                Some(value)
            }
        };
        let micros = finished.micros[position].into();
        let outputs = FinishedRun {
            nbytes: &finished.nbytes[position..=position],
            inline,
            run_micros: micros,
        };
        let run = RunId::from_bits(finished.run[position]);
        if core.state.run_finished(now, worker, run, outputs) {
            core.metrics.run_seconds.observe_micros(micros, 1);
        }
    }
    Ok(())
}

fn failure(failed: v1::RunFailed) -> FailedRun {
    let class = error_class(failed.class());
    let cause = (class == ErrorClass::Crashed).then(|| match i32::try_from(failed.signal) {
        Ok(signal) if signal > 0 => DeathCause::Signal { signal },
        _ => DeathCause::ExitCode { code: failed.exit_code },
    });
    FailedRun {
        class,
        message: failed.message,
        lost_inputs: failed
            .lost_inputs
            .iter()
            .zip(&failed.lost_holders)
            .enumerate()
            .map(|(position, (task, holder))| LostInput {
                task: TaskId::from_bits(*task),
                holder: WorkerId(*holder),
                missing: failed.lost_missing.get(position).copied().unwrap_or(false),
            })
            .collect(),
        cause,
        run_micros: failed.micros.into(),
    }
}

const fn error_class(class: v1::ErrorClass) -> ErrorClass {
    match class {
        v1::ErrorClass::Fatal => ErrorClass::Fatal,
        v1::ErrorClass::Retryable => ErrorClass::Retryable,
        v1::ErrorClass::WorkerFault => ErrorClass::WorkerFault,
        v1::ErrorClass::InputLost => ErrorClass::InputLost,
        v1::ErrorClass::Crashed => ErrorClass::Crashed,
        v1::ErrorClass::TimedOut => ErrorClass::TimedOut,
        v1::ErrorClass::Cancelled => ErrorClass::Cancelled,
    }
}

const fn metrics(beat: &v1::Heartbeat) -> WorkerMetrics {
    WorkerMetrics {
        memory_limit: beat.memory_limit,
        memory_resident: beat.memory_resident,
        bytes_stored: beat.bytes_stored,
        bytes_spilled: beat.bytes_spilled,
        spilled_total: beat.spilled_total,
        cpu_seconds: beat.cpu_seconds,
        paused: beat.paused,
        transferred_in: beat.transferred_in,
        transferred_out: beat.transferred_out,
    }
}
