//! `dasklet scheduler` and `dasklet worker` by themselves: where they are found, and how they end.

use std::{fs, process::Stdio};

use dasklet_client::{Client, Command, TaskFuture, TaskSpec};
use serde_json::Value;

use crate::support::{Running, Scene, eventually, http_get, members, runtime, signal, text};

/// A scheduler on free ports.
struct Scheduler {
    running: Running,
    address: String,
    http: String,
}

/// Arguments of a scheduler that listens on free ports and tells them in this file.
fn scheduler_args(file: &str) -> Vec<&str> {
    vec!["scheduler", "--port", "0", "--http-port", "0", "--port-file", file, "--output", "none"]
}

impl Scheduler {
    fn start(scene: &Scene) -> Self {
        let file = scene.path("ports.json");
        let running = scene.start(&scheduler_args(text(&file)));
        let told = eventually("the scheduler tells where it listens", || {
            Some(serde_json::from_str::<Value>(&fs::read_to_string(&file).ok()?).unwrap())
        });
        assert_eq!(told["pid"], running.pid());
        let word = |field: &str| told[field].as_str().unwrap().to_owned();
        Self { running, address: word("scheduler"), http: word("dashboard") }
    }

    /// Starts a worker of one thread, which serves when this returns.
    fn worker(&self, scene: &Scene, name: &str, more: &[&str]) -> Running {
        let mut args = vec!["worker", "--scheduler", &self.address, "--name", name];
        args.extend(["--threads", "1", "--memory-limit", "256Mi"]);
        args.extend(more);
        let running = scene.start(&args);
        eventually("the worker serves", || self.member(name).map(drop));
        running
    }

    fn member(&self, name: &str) -> Option<Value> {
        members(&self.http).into_iter().find(|member| member["name"] == name)
    }

    /// Waits until the worker runs a task.
    fn wait_for_run(&self, name: &str) {
        eventually("the worker runs a task", || {
            (self.member(name)?["running"].as_u64() > Some(0)).then_some(())
        });
    }

    fn stop(self, scene: &Scene) {
        signal("TERM", self.running.pid());
        self.running.wait().assert_code(0);
        scene.assert_nothing_runs();
    }
}

/// A task for this worker that takes a while and gives a text too long to travel with its news.
fn nap(seconds: &str, worker: &str) -> TaskSpec {
    let script = format!("sleep {seconds}; printf %05000d 7");
    TaskSpec::command(Command::new(["sh", "-c", &script])).workers([worker])
}

#[test]
fn a_port_file_tells_where_a_scheduler_is_found() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    assert_eq!(http_get(&scheduler.http, "/health").trim(), "ok");
    let listed = scene.run(&["get", "workers", "--http", &scheduler.http]);
    assert_eq!(listed.assert_code(0).out, "no workers\n");
    let left = fs::read_dir(scene.folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the port file");
    scheduler.stop(&scene);
}

#[test]
fn a_port_file_that_cannot_be_written_is_named() {
    let scene = Scene::new();
    let file = scene.path("no-such-folder/ports.json");
    scene.refuses(&scheduler_args(text(&file)), 3, &[text(&file), "--port-file"]);
}

#[test]
fn a_scheduler_ends_at_either_signal() {
    let scene = Scene::new();
    for name in ["TERM", "INT"] {
        let scheduler = Scheduler::start(&scene);
        // Whoever still waits for it finds it gone, and gives up when told to.
        let worker = scheduler.worker(&scene, "w", &["--death-timeout", "0.5"]);
        signal(name, scheduler.running.pid());
        let ended = scheduler.running.wait();
        ended.assert_code(0);
        assert_eq!(ended.err, "", "SIG{name}");
        let address = scheduler.address.trim_start_matches("tcp://");
        worker.wait().assert_code(3).assert_says(&[address]);
        scene.assert_nothing_runs();
        fs::remove_file(scene.path("ports.json")).unwrap();
    }
}

#[test]
fn a_worker_that_is_told_to_go_finishes_and_hands_over() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    let stays = scheduler.worker(&scene, "stays", &[]);
    runtime().block_on(async {
        let client = Client::connect(&scheduler.address).await.unwrap();
        for name in ["TERM", "INT"] {
            let goes = scheduler.worker(&scene, "goes", &[]);
            let task: TaskFuture<Value> = client.submit_task(&nap("0.5", "goes")).unwrap();
            scheduler.wait_for_run("goes");
            signal(name, goes.pid());
            goes.wait().assert_code(0);
            assert_eq!(task.bytes().await.unwrap().len(), 5000);
            let metrics = http_get(&scheduler.http, "/metrics");
            assert!(metrics.contains("dasklet_tasks_recomputed_total 0"), "{metrics}");
            assert_eq!(members(&scheduler.http).len(), 1, "SIG{name}");
        }
        client.close().await;
    });
    signal("TERM", stays.pid());
    stays.wait().assert_code(0);
    scheduler.stop(&scene);
}

#[test]
fn a_worker_that_cannot_finish_in_time_leaves() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    runtime().block_on(async {
        let client = Client::connect(&scheduler.address).await.unwrap();
        let worker = scheduler.worker(&scene, "w", &["--drain-timeout", "0.2"]);
        let _task: TaskFuture<Value> = client.submit_task(&nap("1000", "w")).unwrap();
        scheduler.wait_for_run("w");
        signal("TERM", worker.pid());
        worker.wait().assert_code(0).assert_says(&["not drained within 200ms"]);
        client.close().await;
    });
    scheduler.stop(&scene);
}

/// Both roles with `--exit-with-parent`, each as its arguments; the worker's scheduler is `address`.
fn children<'a>(file: &'a str, address: &'a str) -> [Vec<&'a str>; 2] {
    let mut scheduler = scheduler_args(file);
    scheduler.push("--exit-with-parent");
    let worker = vec!["worker", "--scheduler", address, "--name", "child", "--exit-with-parent"];
    [scheduler, worker]
}

#[test]
fn a_child_ends_when_its_standard_input_does() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    let file = scene.path("child.json");
    for args in children(text(&file), &scheduler.address) {
        let mut child = scene.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        eventually("the child is up", || {
            (file.exists() || scheduler.member("child").is_some()).then_some(())
        });
        assert!(child.try_wait().unwrap().is_none(), "{args:?}");
        drop(child.stdin.take());
        let status = eventually("the child ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{args:?}");
        let _ = fs::remove_file(&file);
    }
    scheduler.stop(&scene);
}

#[test]
fn a_child_ends_with_its_parent_though_its_standard_input_stays_open() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    let file = scene.path("child.json");
    for args in children(text(&file), &scheduler.address) {
        let before = scene.processes().len();
        let mut shell = scene.in_shell(&args).stdin(Stdio::piped()).spawn().unwrap();
        eventually("the child is up", || {
            (file.exists() || scheduler.member("child").is_some()).then_some(())
        });
        assert_eq!(scene.processes().len(), before + 2, "the shell and the child: {args:?}");
        signal("KILL", shell.id());
        let stdin = shell.stdin.take();
        shell.wait().unwrap();
        eventually("the child is gone", || (scene.processes().len() == before).then_some(()));
        drop(stdin);
        let _ = fs::remove_file(&file);
        eventually("its scheduler knows", || scheduler.member("child").is_none().then_some(()));
    }
    scheduler.stop(&scene);
}

#[test]
fn the_program_has_the_role_of_its_name() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    let worker = scene.path("dasklet-worker");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dasklet"), &worker).unwrap();
    let args = ["--scheduler", &scheduler.address, "--name", "linked", "--threads", "1"];
    let running = scene.start_program(&worker, &args);
    eventually("the worker serves", || scheduler.member("linked").map(drop));
    signal("TERM", running.pid());
    running.wait().assert_code(0);
    scheduler.stop(&scene);
}

#[test]
fn a_worker_that_is_told_to_go_does_not_wait_for_a_scheduler_that_is_gone() {
    let scene = Scene::new();
    let scheduler = Scheduler::start(&scene);
    let patient = ["--drain-timeout", "1000", "--death-timeout", "1000"];
    let worker = scheduler.worker(&scene, "leaving", &patient);
    signal("KILL", scheduler.running.pid());
    scheduler.running.wait();
    signal("TERM", worker.pid());
    worker.wait().assert_code(0);
    scene.assert_nothing_runs();
}
