//! Starts the program, waits for it with a limit, and looks for what it may have left behind.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use dasklet_client::TaskArray;
use serde_json::Value;

/// Every process of a test must end within this.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Marks the processes of one test, through their environment.
const MARK: &str = "DASKLET_TEST_MARK";

/// Set where the tests may do without a small file system.
const NO_MOUNTS: &str = "DASKLET_TEST_NO_MOUNTS";

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("not JSON ({error}):\n{}\n{}", self.out, self.err))
    }

    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    pub fn assert_says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.err.contains(word), "no '{word}' in:\n{}", self.err);
        }
        self
    }
}

/// One test's folder and processes.
pub struct Scene {
    pub folder: tempfile::TempDir,
    mark: String,
    /// Holds the temporary files of the programs, and little.
    small_disk: Option<PathBuf>,
}

/// Starts a program on a small file system that only it and its children see.
const MOUNT: &str = "mount -t tmpfs -o size=16m tmpfs \"$0\" && exec \"$@\"";

impl Scene {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            folder: tempfile::tempdir().unwrap(),
            mark: format!("{}-{number}", std::process::id()),
            small_disk: None,
        }
    }

    /// A scene whose programs keep their temporary files on a disk of 16 MiB. None only where
    /// whoever runs the tests has said that nothing can be mounted there.
    pub fn on_small_disk() -> Option<Self> {
        if std::env::var_os(NO_MOUNTS).is_some() {
            println!("left out: {NO_MOUNTS} is set");
            return None;
        }
        let mut scene = Self::new();
        let disk = scene.path("small");
        fs::create_dir(&disk).unwrap();
        let tried = mounted(&disk).arg("true").output();
        scene.small_disk = Some(disk);
        assert!(
            tried.as_ref().is_ok_and(|tried| tried.status.success()),
            "a small file system cannot be mounted here: let this user make mount namespaces, or \
             set {NO_MOUNTS} to leave the tests of a full disk out: {tried:?}"
        );
        Some(scene)
    }

    /// The small disk.
    pub fn small_disk(&self) -> Option<&Path> {
        self.small_disk.as_deref()
    }

    /// A file of the scene.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the scene.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The program with these arguments, in the scene's folder.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let program = env!("CARGO_BIN_EXE_dasklet");
        let mut command = match &self.small_disk {
            None => Command::new(program),
            Some(disk) => {
                let mut command = mounted(disk);
                command.arg(program).env("TMPDIR", disk);
                command
            }
        };
        command
            .args(args)
            .current_dir(self.folder.path())
            .env(MARK, &self.mark)
            .env_remove("DASKLET_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A shell that runs the program with these arguments, as a process below it.
    pub fn in_shell<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let plain = self.command(args);
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\"; true", "sh"]).arg(plain.get_program()).args(plain.get_args());
        shell.current_dir(self.folder.path()).env(MARK, &self.mark);
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        shell
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Ended {
        self.start(args).wait()
    }

    /// What a run of a manifest answers, which has to end well.
    pub fn answer(&self, file: &Path) -> Value {
        self.run(&["run", "-f", text(file), "--output", "json"]).assert_code(0).json()
    }

    /// Runs the program, which has to fail with this code and words and leave nothing behind.
    pub fn refuses<S: AsRef<std::ffi::OsStr>>(&self, args: &[S], code: i32, words: &[&str]) {
        self.run(args).assert_code(code).assert_says(words);
        self.assert_nothing_runs();
    }

    /// Starts the program.
    pub fn start<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Running {
        let mut child = self.command(args).spawn().unwrap();
        let out = read_by_itself(child.stdout.take().unwrap());
        let err = read_by_itself(child.stderr.take().unwrap());
        Running { child, out, err }
    }

    /// Process ids of this test's processes.
    pub fn processes(&self) -> Vec<u32> {
        let wanted = format!("{MARK}={}", self.mark);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                found.push(pid);
            }
        }
        found
    }

    /// Process ids of this test's processes whose shown name is this.
    pub fn processes_named(&self, name: &str) -> Vec<u32> {
        let named = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
        };
        self.processes().into_iter().filter(named).collect()
    }

    /// Nothing of this test runs any more.
    pub fn assert_nothing_runs(&self) {
        eventually("all processes are gone", || self.processes().is_empty().then_some(()));
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    out: thread::JoinHandle<String>,
    err: thread::JoinHandle<String>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, which must come in time.
    pub fn wait(mut self) -> Ended {
        let until = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() > until {
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        if status.is_none() {
            self.child.kill().unwrap();
        }
        let (out, err) = (self.out.join().unwrap(), self.err.join().unwrap());
        let status = status.unwrap_or_else(|| panic!("no end in time:\n{out}\n{err}"));
        Ended { code: status.code(), out, err }
    }
}

/// `dasklet up`, which has said where it listens.
pub struct Up {
    child: Child,
    pub scheduler: String,
    pub dashboard: String,
    err: Option<thread::JoinHandle<String>>,
    out: Option<thread::JoinHandle<String>>,
}

impl Up {
    /// Starts it and waits for its addresses.
    pub fn start(scene: &Scene, args: &[&str]) -> Self {
        let mut all = vec!["up"];
        all.extend(args);
        let mut child = scene.command(&all).spawn().unwrap();
        let err = read_by_itself(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut scheduler = String::new();
        let mut dashboard = String::new();
        let mut line = String::new();
        while scheduler.is_empty() || dashboard.is_empty() {
            line.clear();
            if lines.read_line(&mut line).unwrap() == 0 {
                let _ = child.wait();
                panic!("`dasklet up` ended: {}", err.join().unwrap());
            }
            let text = line.trim();
            if text.starts_with("tcp://") {
                scheduler = text.to_owned();
            } else if let Some(at) = text.find("http://") {
                dashboard = text[at..].to_owned();
            }
        }
        let out = Some(read_by_itself(lines));
        Self { child, scheduler, dashboard, err: Some(err), out }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The workers as the scheduler sees them.
    pub fn members(&self) -> Vec<Value> {
        members(&self.dashboard)
    }

    /// Runs that repeated work whose outputs were lost.
    pub fn recomputed(&self) -> u64 {
        let metrics = http_get(&self.dashboard, "/metrics");
        let line = metrics.lines().find(|line| line.starts_with("dasklet_tasks_recomputed_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// True once it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ctrl-C, and the end.
    pub fn interrupt(self) -> Ended {
        signal("INT", self.child.id());
        self.wait()
    }

    /// The end.
    pub fn wait(mut self) -> Ended {
        let status = eventually("`dasklet up` ends", || self.child.try_wait().unwrap());
        let out = self.out.take().unwrap().join().unwrap();
        let err = self.err.take().unwrap().join().unwrap();
        Ended { code: status.code(), out, err }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_by_itself(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What a scheduler's HTTP API answers at a path.
pub fn http_get(address: &str, path: &str) -> String {
    let authority = address.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().next().unwrap().ends_with("200 OK"), "{path}: {answer}");
    body.to_owned()
}

/// The workers as the scheduler at this HTTP address sees them.
pub fn members(address: &str) -> Vec<Value> {
    serde_json::from_str(&http_get(address, "/api/v1/members")).unwrap()
}

/// Runs what follows as arguments with a small file system at `disk`.
fn mounted(disk: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", MOUNT]).arg(disk);
    command
}

/// What the client in a test runs on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Each member's result is its number, in a long text.
pub async fn assert_numbers(array: &TaskArray<Value>) {
    let results = array.gather_bytes().await.unwrap();
    for (index, result) in results.iter().enumerate() {
        let text = std::str::from_utf8(result).unwrap();
        assert!(text.len() == 5000 && text.parse() == Ok(index), "{index}: {text}");
    }
}

/// Sends a signal to one process.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "cannot send SIG{name} to {pid}");
}

/// Waits until something is so.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The complete lines of a file of events.
pub fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Events of this kind.
pub fn events_of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file of the examples that ship with the program.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}
