//! Nothing is left of a cluster, however the process ends that owns it.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A cluster of one node, started by the program as a person starts it.
struct Up {
    child: Child,
    temporary: PathBuf,
}

fn program(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dasklet-e2e"));
    command.env("TMPDIR", temporary).env_remove("KUBECONFIG").stdin(Stdio::null());
    command
}

impl Up {
    /// Starts it and waits until it is ready.
    fn start(temporary: &Path) -> Self {
        let mut child = program(temporary)
            .args(["up", "--nodes", "1", "--without-images"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().unwrap().contains("Ctrl-C ends it"));
        assert!(ready.is_some(), "it ended: {:?}", child.wait());
        // Whoever reads no more gives it an error at its next line.
        thread::spawn(move || lines.for_each(drop));
        Self { child, temporary: temporary.to_owned() }
    }

    fn kubectl(&self, words: &str) -> bool {
        let mut command = program(&self.temporary);
        command.args(["enter", "--", "kubectl"]).args(words.split(' ')).stdout(Stdio::null());
        command.stderr(Stdio::null()).status().unwrap().success()
    }

    /// The folder of the run, named by its owner.
    fn folder(&self) -> PathBuf {
        let start = format!("{}-", self.child.id());
        folders(&self.temporary)
            .into_iter()
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&start))
            .unwrap()
    }

    fn end_by(mut self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        self.child.wait().unwrap();
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not so after a minute: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The folders of all runs.
fn folders(temporary: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(temporary).unwrap().flatten();
    let bases = all.filter(|it| it.file_name().to_string_lossy().starts_with("dasklet-e2e-"));
    bases
        .flat_map(|base| fs::read_dir(base.path()).unwrap().flatten())
        .map(|it| it.path())
        .collect()
}

/// The processes in a process id namespace.
fn processes_in(namespace: &Path) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|it| fs::read_link(it.path().join("ns/pid")).is_ok_and(|its| its == namespace))
        .count()
}

/// Control groups below that of an owner, in all hierarchies.
fn groups_of(owner: &str) -> Vec<PathBuf> {
    let mount = Path::new("/sys/fs/cgroup");
    let mut roots = vec![mount.to_owned()];
    roots.extend(fs::read_dir(mount).unwrap().flatten().map(|entry| entry.path()));
    roots
        .into_iter()
        .map(|root| root.join("dasklet-e2e").join(owner))
        .filter(|it| it.exists())
        .collect()
}

#[test]
#[ignore = "needs root: `cargo xtask test` runs it in the step e2e"]
fn nothing_is_left_of_a_cluster_whose_owner_is_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let up = Up::start(temporary.path());
    let folder = up.folder();
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let owner = name.rsplit_once('-').unwrap().0.to_owned();
    let first = fs::read_to_string(folder.join("first")).unwrap();
    let namespace = fs::read_link(format!("/proc/{}/ns/pid", first.trim())).unwrap();
    // A pod, so that there is a container to be left behind.
    eventually("a pod is made", || up.kubectl("run sleeper --image=docker.io/dasklet/pause:1"));
    assert!(up.kubectl("wait --for=condition=Ready pod/sleeper --timeout=60s"));
    assert!(processes_in(&namespace) > 8, "{} processes", processes_in(&namespace));
    assert!(!groups_of(&owner).is_empty());

    up.end_by(Signal::SIGKILL);
    eventually("all processes are gone", || processes_in(&namespace) == 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*folder.to_string_lossy()), "{mounts}");

    // What outlives processes goes with the next run, and all of its own with its end.
    let next = Up::start(temporary.path());
    assert!(!folder.exists());
    assert_eq!(groups_of(&owner), Vec::<PathBuf>::new());
    let folder = next.folder();
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    next.end_by(Signal::SIGTERM);
    assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new());
    assert_eq!(groups_of(name.rsplit_once('-').unwrap().0), Vec::<PathBuf>::new());
}
