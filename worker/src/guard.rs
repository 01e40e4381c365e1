//! The guard: a process between the worker and a command, so that nothing of the command
//! outlives the worker, however that ends.
//!
//! The worker starts its own program again with [`GUARD_ARGUMENT`]. The guard puts the command
//! into a process group, adopts what the command leaves behind, and kills all of it when its
//! standard input is closed (the worker is gone) or says so. It reports the command's end in one
//! line on its standard output.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// First argument of a guard process.
pub const GUARD_ARGUMENT: &str = "__guard";

/// On the guard's standard input: end the command, first politely.
pub(crate) const STOP: u8 = b's';
/// On the guard's standard input: kill the command at once.
pub(crate) const KILL: u8 = b'k';

/// Between the polite signal and the other one.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the guard. `arguments` are those after [`GUARD_ARGUMENT`]. To be called first thing in
/// `main` of every program that runs workers, if its first argument is that.
#[must_use]
pub fn guard_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let report = match arguments.as_slice() {
        [stdin, stdout, stderr, program, args @ ..] => run([stdin, stdout, stderr], program, args),
        _ => "error a guard needs the paths of stdin, stdout and stderr, and a command".to_owned(),
    };
    let written = io::stdout().write_all(format!("{report}\n").as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(files: [&OsString; 3], program: &OsStr, args: &[OsString]) -> String {
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        return format!("error cannot adopt orphans: {error}");
    }
    let spawned = open(files).and_then(|(stdin, stdout, stderr)| {
        Command::new(program)
            .args(args)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
    });
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return "missing".to_owned(),
        Err(error) => return format!("error {error}"),
    };
    let group = Pid::from_raw(child.id() as i32);
    // Only now, because the command would inherit it. The watching thread inherits it too.
    let mut deaf = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        deaf.add(signal);
    }
    let _ = deaf.thread_block();
    let ended = Arc::new((Mutex::new(false), Condvar::new()));
    let watched = ended.clone();
    // Ends with the process.
    std::thread::spawn(move || watch(group, &watched));
    let status = child.wait();
    *ended.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
    ended.1.notify_all();
    kill_all(group);
    match status {
        Ok(status) => describe(status),
        Err(error) => format!("error {error}"),
    }
}

fn open([stdin, stdout, stderr]: [&OsString; 3]) -> io::Result<(Stdio, Stdio, Stdio)> {
    let input = if stdin.is_empty() { Stdio::null() } else { File::open(stdin)?.into() };
    Ok((input, File::create(stdout)?.into(), File::create(stderr)?.into()))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "error the command ended in an unknown way".to_owned(),
    }
}

/// Waits for the word to end the command, or for the worker's end.
fn watch(group: Pid, ended: &(Mutex<bool>, Condvar)) {
    let mut word = [0];
    let polite = !matches!(io::stdin().read(&mut word), Ok(1) if word[0] == KILL);
    if polite {
        let _ = killpg(group, Signal::SIGTERM);
        let guard = ended.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let waited = ended.1.wait_timeout_while(guard, GRACE, |ended| !*ended);
        if waited.is_ok_and(|(ended, _)| *ended) {
            return;
        }
    }
    let _ = killpg(group, Signal::SIGKILL);
    for child in children() {
        let _ = kill(child, Signal::SIGKILL);
    }
}

/// Kills what is left of the group, and what left the group, until no child is left.
fn kill_all(group: Pid) {
    loop {
        let _ = killpg(group, Signal::SIGKILL);
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

fn children() -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| {
            children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .map(Pid::from_raw)
        .collect()
}
