//! Growth with the queue, and back.

use dasklet_client::{Client, Command, TaskArray, TaskSpec};
use serde_json::Value;

use crate::{
    manifest::{self, elastic, job_on, tasks},
    support::{Scene, Up, assert_numbers, events, events_of, eventually, runtime, text},
};

fn cluster() -> String {
    manifest::cluster("elastic", &elastic(6, 1))
}

/// 120 tasks of 0.1 s.
fn naps() -> String {
    let naps = tasks(&["name: nap, op: sleep, args: [0.1], array: \"0..120\""]);
    job_on("elastic", "naps", &naps)
}

#[test]
fn a_queue_brings_workers_and_its_end_takes_them_away() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &cluster());
    let job = scene.file("job.yaml", &naps());
    let log = scene.path("events.jsonl");
    let up = Up::start(&scene, &["-f", text(&cluster), "--events", text(&log)]);
    assert_eq!(scene.processes_named("dasklet-worker").len(), 0);

    let submit = ["submit", "-f", text(&job), "--scheduler", &up.scheduler];
    scene.run(&submit).assert_code(0);
    let all = eventually("all workers are gone", || {
        let all = events(&log);
        let (started, ended) =
            (events_of(&all, "workerStarted").len(), events_of(&all, "workerEnded").len());
        (started > 0 && started == ended).then_some(all)
    });

    let decisions = events_of(&all, "decision");
    let sizes: Vec<u64> = decisions.iter().map(|event| event["to"].as_u64().unwrap()).collect();
    assert_eq!(sizes.iter().max(), Some(&6), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&0), "{sizes:?}");
    assert!(decisions.iter().all(|event| !event["reason"].as_str().unwrap().is_empty()));
    for event in events_of(&all, "workerEnded") {
        assert_eq!(event["planned"], true, "{event}");
        assert_eq!(event["cause"], "drained", "{event}");
    }
    // The cluster that is back at zero takes work again.
    scene.run(&submit).assert_code(0);
    up.interrupt().assert_code(130);
    scene.assert_nothing_runs();
}

#[test]
fn the_account_tells_of_growth() {
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", &(cluster() + &naps()));
    let answer = scene.answer(&file);
    let cluster = &answer["clusters"]["elastic"];
    assert_eq!(cluster["workersPeak"], 6, "{cluster}");
    assert_eq!(cluster["tasksDone"], 120, "{cluster}");
    scene.assert_nothing_runs();
}

/// 0.2 s of work, and a result too long to travel with the news of its end.
const NAP: &str = "sleep 0.2; printf %05000d $DASKLET_ARRAY_INDEX";

#[test]
fn wanted_results_keep_a_holder_until_they_are_fetched() {
    let scene = Scene::new();
    let cluster = scene.file("cluster.yaml", &cluster());
    let log = scene.path("events.jsonl");
    let up = Up::start(&scene, &["-f", text(&cluster), "--events", text(&log)]);
    let sizes = || -> Vec<u64> {
        let all = events(&log);
        let decisions = events_of(&all, "decision").into_iter();
        decisions.map(|event| event["to"].as_u64().unwrap()).collect()
    };
    assert_eq!(scene.processes_named("dasklet-worker").len(), 0);
    runtime().block_on(async {
        let client = Client::connect(&up.scheduler).await.unwrap();
        let spec = TaskSpec::command(Command::new(["sh", "-c", NAP]));
        let naps: TaskArray<Value> = client.submit_array(&spec, 500).unwrap();
        naps.wait().await.unwrap();
        assert_eq!(sizes().iter().max(), Some(&6), "{:?}", sizes());

        // One that nothing runs on stays for what it holds, for longer than the window that
        // would have taken it away.
        eventually("a holder alone is left, and has been idle", || {
            let members = up.members();
            let idle = members.iter().map(|member| member["idleSeconds"].as_f64().unwrap());
            (members.len() == 1 && idle.fold(0.0, f64::max) > 2.5).then_some(())
        });
        assert!(!sizes().contains(&0), "{:?}", sizes());
        assert_numbers(&naps).await;
        drop(naps);
        eventually("all workers are gone", || {
            scene.processes_named("dasklet-worker").is_empty().then_some(())
        });
        client.close().await;
    });
    let all = eventually("the last end is told", || {
        let all = events(&log);
        (events_of(&all, "workerEnded").len() == events_of(&all, "workerStarted").len())
            .then_some(all)
    });
    assert_eq!(sizes().last(), Some(&0), "{:?}", sizes());
    for event in events_of(&all, "decision") {
        println!("{} -> {}: {}", event["from"], event["to"], event["reason"]);
        assert!(!event["reason"].as_str().unwrap().is_empty(), "{event}");
    }
    up.interrupt().assert_code(130);
    scene.assert_nothing_runs();
}
