//! Child processes of this command: started in a role, watched, and never left behind.
//!
//! A child shares no terminal signals with us (its own process group), sees the end of its
//! standard input when we are gone, however we went, and asks the kernel to be killed with us.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use dasklet_core::DeathCause;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
};

/// What a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `dasklet scheduler`.
    Scheduler,
    /// `dasklet worker`.
    Worker,
}

impl Role {
    /// The subcommand of the role.
    pub const fn subcommand(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Worker => "worker",
        }
    }

    /// The role that a name of this program stands for.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Scheduler, Self::Worker].into_iter().find(|role| role.process_name() == name)
    }

    /// The name that `ps` shows; started under it, this program has the role.
    pub const fn process_name(self) -> &'static str {
        match self {
            Self::Scheduler => "dasklet-scheduler",
            Self::Worker => "dasklet-worker",
        }
    }
}

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// In which role.
    pub role: Role,
    /// The name that its end is reported under.
    pub name: String,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables beyond those of this process.
    pub env: BTreeMap<String, String>,
    /// Where what it writes to its standard error goes.
    pub log: PathBuf,
}

/// The end of a child.
#[derive(Debug)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// How.
    pub status: ExitStatus,
}

enum Order {
    Signal(Signal),
}

/// A running child. Dropping it closes its standard input, upon which it exits.
#[derive(Debug)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Where it logs.
    pub log: PathBuf,
    orders: mpsc::UnboundedSender<Order>,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts a child. Its end is told to `ended`. Its standard output is given back as lines.
    ///
    /// # Errors
    /// Those of starting a process.
    pub fn start(
        launch: Launch,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> std::io::Result<(Self, Lines<BufReader<ChildStdout>>)> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program)
            .arg0(launch.role.process_name())
            .args(&launch.args)
            .arg("--exit-with-parent")
            .envs(&launch.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&launch.log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || std::io::Error::other("the child has no standard streams");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let pid = child.id().ok_or_else(missing)?;
        let (orders, inbox) = mpsc::unbounded_channel();
        tokio::spawn(watch(child, pid, launch.name, inbox, ended));
        let process = Self { pid, log: launch.log, orders, stdin: Some(stdin) };
        Ok((process, BufReader::new(stdout).lines()))
    }

    /// A process for tests of what is observed, which no signal reaches.
    #[cfg(test)]
    pub fn imaginary(pid: u32) -> Self {
        let (orders, _) = mpsc::unbounded_channel();
        Self { pid, log: PathBuf::new(), orders, stdin: None }
    }

    /// Asks it to end (SIGTERM). Nothing happens if it has ended.
    pub fn terminate(&self) {
        let _ = self.orders.send(Order::Signal(Signal::TERM));
    }

    /// Closes its standard input, upon which it exits at once, in order.
    pub fn let_go(&mut self) {
        self.stdin = None;
    }

    /// Ends it at once (SIGKILL). Nothing happens if it has ended.
    pub fn kill(&self) {
        let _ = self.orders.send(Order::Signal(Signal::KILL));
    }
}

/// Owns the child until it is reaped, so that no signal ever reaches a process that has taken
/// over its id.
async fn watch(
    mut child: Child,
    pid: u32,
    name: String,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ended: mpsc::UnboundedSender<Ended>,
) {
    let mut listening = true;
    loop {
        tokio::select! {
            biased;
            status = child.wait() => {
                let status = status.unwrap_or_else(|_| ExitStatus::from_raw(0));
                let _ = ended.send(Ended { name, pid, status });
                return;
            }
            order = orders.recv(), if listening => match order {
                Some(Order::Signal(signal)) => {
                    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
                    if let Some(target) = target {
                        let _ = kill_process(target, signal);
                    }
                }
                None => listening = false,
            },
        }
    }
}

/// Why a child that nobody told to go is gone.
pub fn cause_of(status: ExitStatus) -> DeathCause {
    match status.signal() {
        Some(signal) => DeathCause::Signal { signal },
        None => DeathCause::ExitCode { code: status.code().unwrap_or(0) },
    }
}

/// The last lines that a child wrote to its log, for the account of its end.
pub fn log_tail(log: &Path, lines: usize) -> Vec<String> {
    const MOST: u64 = 8 << 10;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn ends_have_causes() {
        for (raw, cause) in [
            (0, DeathCause::ExitCode { code: 0 }),
            (3 << 8, DeathCause::ExitCode { code: 3 }),
            (9, DeathCause::Signal { signal: 9 }),
        ] {
            assert_eq!(cause_of(ExitStatus::from_raw(raw)), cause);
        }
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for number in 0..5000 {
            writeln!(file, "line {number}\n").unwrap();
        }
        assert_eq!(log_tail(file.path(), 2), ["line 4998", "line 4999"]);
        assert!(log_tail(Path::new("/nowhere"), 2).is_empty());
    }
}
