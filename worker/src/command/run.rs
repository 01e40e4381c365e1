//! Runs commands as processes, without a thread of their own.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use dasklet_core::{ErrorClass, TaskError, death::signal_name};
use dasklet_protocol::v1;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
    sync::mpsc::UnboundedReceiver,
};

use super::{
    folder::{Folder, failed},
    table::Stop,
};
use crate::{
    executor,
    guard::{GUARD_ARGUMENT, KILL, STOP},
    news::{Ended, Ending, Failed, micros, timed_out},
    spec::{Body, Run},
    worker::Worker,
};

/// Starts commands as their turn comes, for as long as the worker lives.
pub(crate) async fn start_all(worker: Arc<Worker>) {
    loop {
        worker.agenda.commands.notified().await;
        let (generation, commands) = worker.agenda.take_commands();
        for (run, class) in commands {
            let worker = worker.clone();
            let run = Arc::new(run);
            let key = (generation, run.id);
            let stop = worker.commands.enter(key);
            tokio::spawn(async move {
                let begun = Instant::now();
                let ending = run_command(&worker, &run, generation, stop).await;
                worker.commands.leave(key);
                let micros = micros(begun.elapsed());
                let ended = ending.map(|ending| Ended { run: run.id, micros, ending });
                worker.agenda.command_ended(&class, generation, ended);
            });
        }
    }
}

/// What became of the process.
enum Outcome {
    Report(String),
    Stopped(Stop),
    TimedOut(Duration),
}

/// `None`: nobody wants to know.
async fn run_command(
    worker: &Arc<Worker>,
    run: &Arc<Run>,
    generation: u64,
    stop: UnboundedReceiver<Stop>,
) -> Option<Ending> {
    let Body::Command(command) = &run.spec.body else {
        return Some(TaskError::worker_fault("this is no command").into());
    };
    if run.announce {
        let (announcer, id) = (worker.clone(), run.id);
        let announced =
            tokio::task::spawn_blocking(move || announcer.agenda.announce(id, generation));
        if !announced.await.unwrap_or(false) {
            return None;
        }
    } else {
        worker.agenda.tell(|message| message.started.push(run.id));
    }
    let prepared = off_thread(worker, run, move |worker, run, command| {
        Folder::prepare(worker, run, generation, command)
    });
    let folder = match prepared.await {
        Ok(Ok(folder)) => folder,
        Ok(Err(failed)) => return Some(Ending::Failed(failed)),
        Err(error) => return Some(error.into()),
    };
    let child = match spawn(worker, run, command, &folder) {
        Ok(child) => child,
        Err(error) => return Some(error.into()),
    };
    worker.commands.started((generation, run.id), child.id());
    match watch(child, stop, run.spec.timeout).await {
        Outcome::Report(report) => {
            let judged = off_thread(worker, run, move |worker, run, command| {
                judge(worker, run, generation, command, &folder, &report)
            });
            Some(judged.await.unwrap_or_else(Ending::from))
        }
        Outcome::TimedOut(timeout) => Some(timed_out(timeout).into()),
        Outcome::Stopped(Stop::Cancelled) => {
            Some(TaskError::new(ErrorClass::Cancelled, "cancelled").into())
        }
        Outcome::Stopped(Stop::Forgotten) => None,
        Outcome::Stopped(Stop::Memory(sentence)) => {
            Some(crashed(format!("command {:?} was {sentence}", command.argv), 0, 9))
        }
    }
}

/// Does what reads and writes files where it holds up nobody.
async fn off_thread<R: Send + 'static>(
    worker: &Arc<Worker>,
    run: &Arc<Run>,
    work: impl FnOnce(&Worker, &Run, &v1::Command) -> R + Send + 'static,
) -> Result<R, TaskError> {
    let (worker, run) = (worker.clone(), run.clone());
    let done = tokio::task::spawn_blocking(move || match &run.spec.body {
        Body::Command(command) => Some(work(&worker, &run, command)),
        _ => None,
    });
    match done.await {
        Ok(Some(result)) => Ok(result),
        Ok(None) => Err(TaskError::worker_fault("this is no command")),
        Err(error) => Err(TaskError::worker_fault(format!(
            "the worker could not handle the command's files: {error}"
        ))),
    }
}

fn spawn(
    worker: &Worker,
    run: &Run,
    command: &v1::Command,
    folder: &Folder,
) -> Result<Child, TaskError> {
    let program = match &worker.settings.guard_program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(|error| {
            TaskError::worker_fault(format!("the worker cannot find its own program: {error}"))
        })?,
    };
    let stdin = if command.stdin.is_empty() { "".into() } else { folder.stdin() };
    let mut guard = tokio::process::Command::new(&program);
    guard
        .arg(GUARD_ARGUMENT)
        .args([stdin, folder.stdout(), folder.stderr()])
        .args(&command.argv)
        .envs(&command.env)
        .env("DASKLET_TASK", run.spec.name(run.index))
        .env("DASKLET_ATTEMPT", run.attempt.to_string())
        .current_dir(folder.work())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own: what is signalled to the worker's group, as by a terminal, must
        // not end the guard before the command.
        .process_group(0);
    if run.spec.is_array {
        guard.env("DASKLET_ARRAY_INDEX", run.shown_index().to_string());
    }
    guard.spawn().map_err(|error| {
        TaskError::worker_fault(format!(
            "the worker cannot start {} to guard a command: {error}",
            program.display()
        ))
    })
}

/// Waits for the command's end, its timeout, or the word to stop it; then for the guard's end,
/// after which nothing of the command is left.
async fn watch(
    mut child: Child,
    mut stop: UnboundedReceiver<Stop>,
    timeout: Option<Duration>,
) -> Outcome {
    // Dropping it tells the guard that the worker is gone.
    let mut word = child.stdin.take();
    let mut report = String::new();
    let outcome = {
        let read = async {
            if let Some(stdout) = child.stdout.as_mut() {
                let _ = stdout.read_to_string(&mut report).await;
            }
        };
        let over = async {
            match timeout {
                Some(timeout) => {
                    tokio::time::sleep(timeout).await;
                    timeout
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = read => None,
            timeout = over => Some((Outcome::TimedOut(timeout), STOP)),
            Some(why) = stop.recv() => {
                let byte = if matches!(why, Stop::Memory(_)) { KILL } else { STOP };
                Some((Outcome::Stopped(why), byte))
            }
        }
    };
    if let Some((_, byte)) = &outcome {
        say(&mut word, *byte).await;
    }
    let _ = child.wait().await;
    match outcome {
        Some((outcome, _)) => outcome,
        None => Outcome::Report(report.trim().to_owned()),
    }
}

async fn say(word: &mut Option<ChildStdin>, byte: u8) {
    if let Some(word) = word {
        let _ = word.write_all(&[byte]).await;
    }
}

/// Turns the guard's report into the end of the run.
fn judge(
    worker: &Worker,
    run: &Run,
    generation: u64,
    command: &v1::Command,
    folder: &Folder,
    report: &str,
) -> Ending {
    let argv = &command.argv;
    let (word, rest) = report.split_once(' ').unwrap_or((report, ""));
    match (word, rest.parse::<i32>()) {
        ("exit", Ok(0)) => {
            let most = worker.settings.memory_limit / 2;
            match folder.output(most) {
                Ok(output) if run.spec.outputs == 1 => {
                    executor::keep(worker, run, generation, smallvec::smallvec![output])
                }
                Ok(_) => TaskError::fatal(format!(
                    "the task has {} outputs, but a command has one: its standard output",
                    run.spec.outputs
                ))
                .into(),
                Err(error) => error.into(),
            }
        }
        ("exit", Ok(code)) => {
            let message = format!("command {argv:?} ended with exit code {code}{}", said(folder));
            let mut failed = failed(TaskError::fatal(message));
            failed.exit_code = code;
            Ending::Failed(failed)
        }
        ("signal", Ok(signal)) => {
            let name = signal_name(signal).unwrap_or("no name");
            let message =
                format!("command {argv:?} was ended by signal {signal} ({name}){}", said(folder));
            crashed(message, 0, signal.unsigned_abs())
        }
        ("missing", _) => {
            let path = command.env.get("PATH").cloned().or_else(|| std::env::var("PATH").ok());
            TaskError::fatal(format!(
                "command '{}' was not found in the PATH {}: install it where workers run, or give its full path",
                argv[0],
                path.unwrap_or_default()
            ))
            .into()
        }
        ("error", _) => {
            TaskError::fatal(format!("command {argv:?} could not be started: {rest}")).into()
        }
        _ => crashed(format!("the guard of command {argv:?} died, and the command with it"), 0, 9),
    }
}

fn said(folder: &Folder) -> String {
    match folder.stderr_tail() {
        tail if tail.is_empty() => String::new(),
        tail => format!(": {tail}"),
    }
}

fn crashed(message: String, exit_code: i32, signal: u32) -> Ending {
    let error = TaskError::new(ErrorClass::Crashed, message);
    Ending::Failed(Box::new(Failed { error, lost: Vec::new(), exit_code, signal }))
}
