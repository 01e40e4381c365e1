//! `dasklet up`, and what can be asked of it.

use crate::{
    manifest::{self, job_on, tasks},
    support::{Scene, Up, events, events_of, eventually, text},
};

fn stay() -> String {
    manifest::cluster("stay", "replicas: 2, threads: 1, memory: 256Mi")
}

#[test]
fn a_cluster_that_stays_takes_jobs_and_answers_questions() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &stay());
    let cubes = tasks(&["name: cube, op: cube, args: [{index: true}], array: \"0..100\""]);
    let job = scene.file("job.yaml", &job_on("stay", "work", &cubes));
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    scene
        .run(&["submit", "-f", text(&job), "--scheduler", &up.scheduler])
        .assert_code(0)
        .assert_says(&["job work succeeded"]);

    let get = |kind: &str| scene.run(&["get", kind, "--http", &up.dashboard, "--output", "json"]);
    let members = eventually("both workers serve", || {
        let members = get("workers").assert_code(0).json();
        (members.as_array().or_else(|| members["members"].as_array()).unwrap().len() == 2)
            .then_some(members)
    });
    assert!(members.to_string().contains("stay-default-worker-0"), "{members}");
    get("tasks").assert_code(0);
    get("jobs").assert_code(0);
    for kind in ["workers", "tasks", "jobs"] {
        scene.run(&["get", kind, "--http", &up.dashboard]).assert_code(0);
    }
    let unknown = scene.run(&["explain", "no-such-task", "--http", &up.dashboard]);
    unknown.assert_code(1).assert_says(&["no-such-task"]);

    up.interrupt().assert_code(130);
    scene.assert_nothing_runs();
}

#[test]
fn a_dead_worker_is_replaced() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &stay());
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    let workers = || scene.processes_named("dasklet-worker");
    let before = eventually("both workers run", || {
        let pids = workers();
        (pids.len() == 2).then_some(pids)
    });
    crate::support::signal("KILL", before[0]);
    eventually("another one runs", || {
        let pids = workers();
        (pids.len() == 2 && !pids.contains(&before[0])).then_some(())
    });
    up.interrupt().assert_code(130).assert_says(&["SIGKILL"]);
    scene.assert_nothing_runs();
}

#[test]
fn nothing_outlives_a_killed_cluster() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &stay());
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    eventually("both workers run", || {
        (scene.processes_named("dasklet-worker").len() == 2).then_some(())
    });
    crate::support::signal("KILL", up.pid());
    scene.assert_nothing_runs();
}

#[test]
fn a_jobs_own_cluster_goes_with_it_unless_its_policy_says_otherwise() {
    let good = tasks(&["name: answer, op: add, args: [40, 2]"]);
    let bad = tasks(&["name: answer, op: add, args: [40, two]"]);
    for (policy, work, goes) in [
        ("OnFinish", &bad, true),
        ("OnSuccess", &good, true),
        ("OnSuccess", &bad, false),
        ("Never", &good, false),
    ] {
        let scene = Scene::new();
        let manifest = manifest::job_alone("own", "replicas: 1", work)
            .replace("spec:\n  cluster", &format!("spec:\n  shutdownPolicy: {policy}\n  cluster"));
        assert!(manifest.contains(policy), "{manifest}");
        let file = scene.file("job.yaml", &manifest);
        let log = scene.path("events.jsonl");
        let mut up = Up::start(&scene, &["-f", text(&file), "--events", text(&log)]);
        eventually("the job has ended", || {
            let all = events(&log);
            (!events_of(&all, "jobEnded").is_empty()).then_some(())
        });
        if goes {
            let ended = up.wait();
            ended.assert_says(&["the jobs have ended, and their clusters with them"]);
            ended.assert_code(i32::from(work == &bad));
        } else {
            assert!(!up.has_ended() && !up.members().is_empty(), "{policy}");
            up.interrupt().assert_code(130);
        }
        scene.assert_nothing_runs();
    }
}

#[test]
fn an_idle_cluster_goes_when_its_manifest_says_so() {
    let scene = Scene::new();
    let manifest = stay().replace("spec:\n", "spec:\n  idleTimeout: 1\n");
    let cluster = scene.file("cluster.yaml", &manifest);
    scene.run(&["up", "-f", text(&cluster)]).assert_code(0).assert_says(&["idle"]);
    scene.assert_nothing_runs();
}
