//! Deaths of a cluster's scheduler, which is started again.

use serde_json::{Value, json};

use crate::{
    manifest::{self, job_alone, job_on, tasks},
    support::{Running, Scene, Up, events, events_of, eventually, signal, text},
};

const WORKERS: &str = "replicas: 2, threads: 1, memory: 256Mi";

/// Kills the scheduler, and waits for the next one.
fn kill_scheduler(scene: &Scene) {
    let pid = scheduler(scene);
    signal("KILL", pid);
    eventually("another scheduler runs", || (scheduler(scene) != pid).then_some(()));
}

fn scheduler(scene: &Scene) -> u32 {
    eventually("a scheduler runs", || scene.processes_named("dasklet-scheduler").first().copied())
}

/// Starts a run of these tasks and kills its scheduler when some of them are done.
fn killed_in_the_middle(scene: &Scene, work: &[&str]) -> Running {
    let file = scene.file("manifest.yaml", &job_alone("work", WORKERS, &tasks(work)));
    let log = scene.path("events.jsonl");
    let running =
        scene.start(&["run", "-f", text(&file), "--output", "json", "--events", text(&log)]);
    eventually("some tasks are done", || {
        let some_done = |event: &&Value| event["done"].as_u64() >= Some(3);
        events_of(&events(&log), "jobProgress")
            .into_iter()
            .any(|event| some_done(&event))
            .then_some(())
    });
    kill_scheduler(scene);
    running
}

const NAPS: &str = "name: nap, op: sleep, args: [0.1], array: \"0..40\"";
const CUBES: &str = "name: cube, op: cube, args: [{index: true}], array: \"0..5\"";
const TOTAL: &str = "name: total, op: sum, args: [{from: cube}], after: [nap]";

#[test]
fn a_job_is_submitted_again_when_its_scheduler_dies() {
    let scene = Scene::new();
    let ended = killed_in_the_middle(&scene, &[NAPS, CUBES, TOTAL]).wait();
    let answer = ended.assert_code(0).json();
    let job = &answer["jobs"][0];
    assert_eq!((&job["succeeded"], &job["attempts"]), (&json!(true), &json!(1)), "{job}");
    let total = |result: &&Value| result["task"] == "total";
    let total = job["results"].as_array().unwrap().iter().find(total).unwrap();
    assert_eq!(total["value"], 100, "{job}");
    assert_eq!(answer["clusters"]["work"]["schedulerRestarts"], 1, "{answer}");
    scene.assert_nothing_runs();
}

#[test]
fn a_task_that_must_not_run_twice_is_not_submitted_again() {
    let scene = Scene::new();
    let once = "name: once, op: noop, idempotent: false, after: [nap]";
    let ended = killed_in_the_middle(&scene, &[NAPS, once]).wait();
    ended.assert_code(3).assert_says(&["was restarted", "its tasks are lost"]);
    scene.assert_nothing_runs();
}

#[test]
fn a_cluster_that_stays_outlives_deaths_of_its_scheduler() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &manifest::cluster("stay", WORKERS));
    let job = scene.file("job.yaml", &job_on("stay", "work", &tasks(&[CUBES])));
    let mut up = Up::start(&scene, &["-f", text(&cluster)]);
    let workers = || scene.processes_named("dasklet-worker");
    let before = eventually("both workers serve", || (up.members().len() == 2).then(workers));
    kill_scheduler(&scene);
    let submit = ["submit", "-f", text(&job), "--scheduler", &up.scheduler];
    eventually("jobs run again", || (scene.run(&submit).code == Some(0)).then_some(()));
    assert_eq!(workers(), before, "the workers have stayed");

    // One that dies again and again is given up.
    eventually("it is given up", || {
        if let Some(pid) = scene.processes_named("dasklet-scheduler").first() {
            signal("KILL", *pid);
        }
        up.has_ended().then_some(())
    });
    // The last one may have been killed before it had said anything.
    let died = "the scheduler of cluster stay died";
    let words = ["its scheduler died and is started again: signal 9 (SIGKILL)", died];
    up.wait().assert_code(3).assert_says(&words);
    scene.assert_nothing_runs();
}
