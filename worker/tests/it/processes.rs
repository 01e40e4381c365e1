//! Workers as real processes: signals, crashes, and what must not outlive them.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use dasklet_protocol::v1;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    fake::Fake,
    tasks::{assign, assigns, command, literal, native, shell},
};

/// A worker process; killed when the test ends.
pub struct Process(pub Child);

impl Process {
    pub fn start(fake: &Fake, scratch: &Path, args: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_dasklet-worker"))
            .args(["--scheduler", &fake.address, "--name", "p", "--slots", "2", "--scratch"])
            .arg(scratch)
            .args(args)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    pub async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..3000 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the worker does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process ids that a script writes.
pub async fn pids_in(file: &Path) -> Vec<i32> {
    for _ in 0..3000 {
        if let Ok(text) = std::fs::read_to_string(file) {
            return text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} does not appear", file.display());
}

fn lives(pid: &i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
}

/// Waits until none of these runs any more.
pub async fn gone(pids: &[i32]) {
    for _ in 0..3000 {
        if !pids.iter().any(lives) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still there: {pids:?}");
}

#[tokio::test]
async fn nothing_outlives_a_killed_worker() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = Process::start(&fake, scratch.path(), &[]);
    let mut session = fake.accept(1).await;
    let file = scratch.path().join("pids");
    let script = format!(
        "trap '' TERM; setsid sleep 600 & echo $$ $! $PPID > {0}.new; mv {0}.new {0}; wait",
        file.display()
    );
    session.send(assigns(vec![
        assign(1, command(shell(&script))),
        assign(2, native("bytes", vec![literal(100)])),
    ]));
    session.until(|seen| seen.order == [2]).await;
    let pids = pids_in(&file).await;
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    session.gone().await;
    gone(&pids).await;

    let left = || std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left(), 2, "its folder and the file of process ids");
    let _next = Process::start(&fake, scratch.path(), &[]);
    fake.accept(2).await;
    assert_eq!(left(), 2, "the next worker has removed what it left");
}

#[tokio::test]
async fn sigterm_drains_and_exits_well() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = Process::start(&fake, scratch.path(), &[]);
    let mut session = fake.accept(1).await;
    session.send(assigns(vec![assign(1, native("sleep", vec![literal(0.3)]))]));
    session.until(|seen| seen.started.contains(&1)).await;
    worker.signal(Signal::SIGTERM);
    session.until(|seen| seen.leaving).await;
    let seen = session.until(|seen| seen.order == [1]).await;
    assert!(seen.finished.contains_key(&1));
    session.send(v1::WorkerCommand { shutdown: true, ..v1::WorkerCommand::default() });
    assert!(worker.ended().await.success());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_announced_start_is_known_before_the_crash() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = Process::start(&fake, scratch.path(), &[]);
    let mut session = fake.accept(1).await;
    let mut crash = assign(1, native("crash", vec![]));
    crash.announce_start = true;
    session.send(assigns(vec![crash]));
    session.gone().await;
    assert!(session.seen.started.contains(&1));
    assert!(!worker.ended().await.success());
}

#[tokio::test]
async fn a_worker_ends_with_its_parent() {
    let mut fake = Fake::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = Process::start(&fake, scratch.path(), &["--exit-with-parent"]);
    let mut session = fake.accept(1).await;
    let file = scratch.path().join("pids");
    let script =
        format!("setsid sleep 600 & echo $$ $! > {0}.new; mv {0}.new {0}; wait", file.display());
    session.send(assigns(vec![assign(1, command(shell(&script)))]));
    let pids = pids_in(&file).await;
    drop(worker.0.stdin.take());
    assert!(worker.ended().await.success());
    assert!(!pids.iter().any(lives), "its commands end before it");
    session.gone().await;
}

#[test]
fn a_wrong_option_is_a_sentence_and_a_code() {
    let output = Command::new(env!("CARGO_BIN_EXE_dasklet-worker"))
        .args(["--scheduler", "nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--scheduler nowhere: write tcp://HOST:PORT"), "{said}");
}
