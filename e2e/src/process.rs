//! Child processes that end when this process ends, however it ends.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};

/// Children, each with a log file, that the kernel kills when this process is gone.
///
/// All are started by one thread that lives as long as this value: the kernel's parent-death
/// signal watches the thread that forked, not its process. Dropping the value kills them in the
/// reverse order of their start and waits for them.
#[derive(Debug)]
pub struct Processes {
    logs: PathBuf,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

enum Request {
    Start { name: String, command: Box<Command>, answer: mpsc::Sender<std::io::Result<u32>> },
    Exited { name: String, answer: mpsc::Sender<Option<ExitStatus>> },
    Kill { name: String, answer: mpsc::Sender<bool> },
}

impl Processes {
    /// No processes yet; their output will go to `<logs>/<name>.log`.
    pub fn new(logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let (requests, inbox) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("processes".to_owned())
            .spawn(move || serve(&inbox))
            .context("cannot start a thread")?;
        Ok(Self { logs: logs.to_owned(), requests: Some(requests), thread: Some(thread) })
    }

    /// Starts a program under a name, and returns its process id. A name that was used before
    /// goes on in the same log.
    pub fn start<S: AsRef<OsStr>>(
        &self,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        environment: &[(&str, &OsStr)],
    ) -> Result<u32> {
        let log = self.log(name);
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        // `setpriv` asks the kernel for the signal and becomes the program: no code of ours runs
        // between fork and exec.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).args(arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        // Ctrl-C in a terminal is for us alone, we tell them.
        command.process_group(0);
        let (answer, result) = mpsc::channel();
        self.send(Request::Start { name: name.to_owned(), command: Box::new(command), answer })?;
        let started = result.recv().context("the thread of the child processes is gone")?;
        started.map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("setpriv is missing: install util-linux"),
            _ => anyhow!(error).context(format!("cannot start {}", program.display())),
        })
    }

    /// How a program ended; nothing if it runs, or never ran.
    pub fn exited(&self, name: &str) -> Result<Option<ExitStatus>> {
        let (answer, result) = mpsc::channel();
        self.send(Request::Exited { name: name.to_owned(), answer })?;
        result.recv().context("the thread of the child processes is gone")
    }

    /// Kills a program and waits for its end. False if there is none of that name.
    pub fn kill(&self, name: &str) -> Result<bool> {
        let (answer, result) = mpsc::channel();
        self.send(Request::Kill { name: name.to_owned(), answer })?;
        result.recv().context("the thread of the child processes is gone")
    }

    /// An error that tells how `name` ended, if it did, with the end of its log.
    pub fn check(&self, name: &str) -> Result<()> {
        match self.exited(name)? {
            None => Ok(()),
            Some(status) => Err(anyhow!(
                "{name} ended with {status}; the end of {}:\n{}",
                self.log(name).display(),
                self.tail(name)
            )),
        }
    }

    /// The last lines of a program's log.
    pub fn tail(&self, name: &str) -> String {
        let text = fs::read(self.log(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// The log file of a program.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn send(&self, request: Request) -> Result<()> {
        let gone = || anyhow!("the thread of the child processes is gone");
        self.requests.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(inbox: &mpsc::Receiver<Request>) {
    let mut children: Vec<(String, Child)> = Vec::new();
    let find = |children: &mut Vec<(String, Child)>, wanted: &str| {
        children.iter().rposition(|(name, _)| name == wanted)
    };
    while let Ok(request) = inbox.recv() {
        match request {
            Request::Start { name, mut command, answer } => {
                let started = command.spawn().map(|child| {
                    let pid = child.id();
                    children.push((name, child));
                    pid
                });
                answer.send(started).ok();
            }
            Request::Exited { name, answer } => {
                let status = find(&mut children, &name)
                    .and_then(|index| children[index].1.try_wait().ok().flatten());
                answer.send(status).ok();
            }
            Request::Kill { name, answer } => {
                let found = find(&mut children, &name).map(|index| children.remove(index));
                let known = found.is_some();
                if let Some((_, mut child)) = found {
                    end(&mut child);
                }
                answer.send(known).ok();
            }
        }
    }
    for (_, child) in children.iter_mut().rev() {
        end(child);
    }
}

/// What runs here keeps nothing that a kill could harm: its data goes with the run folder.
fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn children_end_with_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes::new(folder.path()).unwrap();
        let pid = processes.start("sleep", Path::new("/bin/sleep"), ["1000"], &[]).unwrap();
        assert!(alive(pid));
        assert!(processes.exited("sleep").unwrap().is_none());
        drop(processes);
        assert!(!alive(pid));
    }

    #[test]
    fn children_outlive_the_thread_that_asked_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes::new(folder.path()).unwrap();
        let pid = thread::scope(|scope| {
            let start = || processes.start("sleep", Path::new("/bin/sleep"), ["1000"], &[]);
            scope.spawn(start).join().unwrap().unwrap()
        });
        // Long enough for the kernel to have delivered the signal, had there been one.
        thread::sleep(Duration::from_millis(200));
        assert!(alive(pid));
        assert!(processes.exited("sleep").unwrap().is_none());
        assert!(processes.kill("sleep").unwrap());
        assert!(!alive(pid));
    }

    #[test]
    fn an_end_is_told_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes::new(folder.path()).unwrap();
        let script = ["-c", "echo no such luck; exit 3"];
        processes.start("sh", Path::new("/bin/sh"), script, &[]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while processes.exited("sh").unwrap().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let message = processes.check("sh").unwrap_err().to_string();
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message.contains("no such luck"), "{message}");
    }
}
