//! A disk that takes no more.

use crate::{
    manifest::{self, job_on, tasks},
    support::{Scene, Up, text},
};

/// A job of `members` results of 4 MB each, all wanted at once.
fn job(members: u32) -> String {
    let make = format!("name: make, op: bytes, args: [4000000], array: \"0..{members}\"");
    let total = "name: total, op: sum_bytes, args: [{from: make}]";
    job_on("full", "work", &tasks(&[&make, total]))
}

#[test]
fn a_full_disk_fails_the_task_and_spares_the_worker() {
    let Some(scene) = Scene::on_small_disk() else { return };
    let cluster = manifest::cluster("full", "replicas: 1, threads: 1, memory: 64Mi");
    let cluster = scene.file("cluster.yaml", &cluster);
    let (little, much) = (scene.file("little.yaml", &job(4)), scene.file("much.yaml", &job(40)));
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    let submit = |file| scene.run(&["submit", "-f", text(file), "--scheduler", &up.scheduler]);
    submit(&little).assert_code(0);
    let workers = scene.processes_named("dasklet-worker");

    let disk = scene.small_disk().unwrap();
    let words = ["make[", text(disk), "is full", "needs 3.8 MiB", "are free"];
    submit(&much).assert_code(1).assert_says(&words);

    submit(&little).assert_code(0);
    assert_eq!(scene.processes_named("dasklet-worker"), workers);
    let ended = up.interrupt();
    ended.assert_code(130);
    assert!(!ended.err.contains("died"), "{}", ended.err);
    scene.assert_nothing_runs();
}
