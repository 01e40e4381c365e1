//! A Python process that does not outlive the test.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::environment::python;

/// Ends the process when the test does, even if that is killed: then its end of the pipe closes.
const GUARD: &str = "
import os, sys, threading
def guard():
    sys.stdin.buffer.read()
    os._exit(1)
threading.Thread(target=guard, daemon=True).start()
";

pub struct Process {
    child: Child,
    log: PathBuf,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Runs `dask ARGS`, with its log in `log`.
    pub fn dask(args: &[String], environment: &[(String, String)], log: PathBuf) -> Self {
        let program = "import sys\nsys.argv[0] = 'dask'\nfrom dask.__main__ import main\nmain()";
        Self::start(&format!("{GUARD}{program}"), args, environment, log, Stdio::null())
    }

    /// Runs a program that reads its standard input itself.
    pub fn program(program: &str, args: &[String], log: PathBuf) -> Self {
        Self::start(program, args, &[], log, Stdio::piped())
    }

    fn start(
        program: &str,
        args: &[String],
        environment: &[(String, String)],
        log: PathBuf,
        stdout: Stdio,
    ) -> Self {
        let mut child = Command::new(python())
            .args(["-c", program])
            .args(args)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, log, stdin }
    }

    pub fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        (self.stdin.take().unwrap(), self.child.stdout.take().unwrap())
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- the end of {} ---\n{}", self.log.display(), tail.join("\n"));
        }
    }
}
