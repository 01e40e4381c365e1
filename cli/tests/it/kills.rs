//! Deaths: of workers while they work, and of the program itself.

use serde_json::Value;

use crate::{
    manifest::{self, job_alone, tasks},
    support::{Scene, Up, events, events_of, eventually, example, signal, text},
};

/// Three workers; a first array leaves outputs on all of them, a second one that needs these
/// gives time to kill one.
fn work() -> String {
    let tasks = tasks(&[
        "name: make, op: bytes, args: [100000], array: \"0..60\"",
        "name: nap, op: sleep, args: [0.2], array: \"0..60\", after: [make]",
        "name: total, op: sum_bytes, args: [{from: make}], after: [nap]",
    ]);
    job_alone("work", "replicas: 3, threads: 2, memory: 256Mi", &tasks)
}

fn served(all: &[Value]) -> Vec<u64> {
    let serving = events_of(all, "workerServing");
    events_of(all, "workerStarted")
        .into_iter()
        .filter(|started| serving.iter().any(|event| event["worker"] == started["worker"]))
        .map(|event| event["pid"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_killed_worker_costs_a_recomputation_and_nothing_else() {
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", &work());
    let expected = &scene.answer(&file)["jobs"][0]["results"];

    let log = scene.path("events.jsonl");
    let running =
        scene.start(&["run", "-f", text(&file), "--output", "json", "--events", text(&log)]);
    let victim = eventually("naps are being taken", || {
        let all = events(&log);
        let pids = served(&all);
        // Naps have begun once every worker has stored outputs and a moment has passed.
        let begun = events_of(&all, "jobProgress").iter().any(|e| e["done"].as_u64() >= Some(70));
        (pids.len() == 3 && begun).then(|| pids[0])
    });
    signal("KILL", u32::try_from(victim).unwrap());

    let answer = running.wait().assert_code(0).json();
    assert_eq!(&answer["jobs"][0]["results"], expected);
    let cluster = &answer["clusters"]["work"];
    assert!(cluster["recomputed"].as_u64() >= Some(1), "{cluster}");
    assert_eq!(cluster["deaths"][0]["cause"], "signal 9 (SIGKILL)", "{cluster}");
    assert_eq!(cluster["deaths"][0]["pid"].as_u64(), Some(victim));
    assert_eq!(cluster["workersStarted"], 4, "{cluster}");
    scene.assert_nothing_runs();
}

#[test]
fn a_killed_worker_does_not_change_the_answer_of_a_query() {
    let scene = Scene::new();
    let file = example("flights.yaml");
    let log = scene.path("events.jsonl");
    let running =
        scene.start(&["run", "-f", text(&file), "--output", "json", "--events", text(&log)]);
    let victim = eventually("a worker serves", || served(&events(&log)).first().copied());
    signal("KILL", u32::try_from(victim).unwrap());
    let answer = running.wait().assert_code(0).json();
    crate::sql::assert_counts_flights(answer["jobs"][0]["rows"].as_array().unwrap());
    scene.assert_nothing_runs();
}

/// Two workers; while one is frozen the query cannot end, so what the other one holds is certainly
/// wanted when it dies.
#[test]
fn outputs_of_a_query_that_die_with_their_worker_are_made_again() {
    let scene = Scene::new();
    let cluster = manifest::cluster("flights", "replicas: 2, threads: 1, memory: 512Mi");
    let cluster = scene.file("cluster.yaml", &cluster);
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    let pids = eventually("both workers serve", || {
        let members = up.members();
        let pid = |member: &Value| member["instance"].as_str().unwrap().parse::<u32>().unwrap();
        (members.len() == 2).then(|| members.iter().map(pid).collect::<Vec<_>>())
    });
    let (victim, frozen) = (pids[0], pids[1]);
    let of = |pid: u32, field: &str| {
        let (members, pid) = (up.members(), pid.to_string());
        let member = members.iter().find(|member| member["instance"] == pid.as_str());
        member.unwrap()[field].as_u64().unwrap()
    };
    signal("STOP", frozen);
    let flights = example("flights.yaml");
    let submit = ["submit", "-f", text(&flights), "--scheduler", &up.scheduler, "--output", "json"];
    let running = scene.start(&submit);
    eventually("one has results and the other one has tasks", || {
        (of(frozen, "running") > 0 && of(victim, "bytesSole") > 0).then_some(())
    });
    signal("KILL", victim);
    signal("CONT", frozen);

    let answer = running.wait().assert_code(0).json();
    crate::sql::assert_counts_flights(answer["jobs"][0]["rows"].as_array().unwrap());
    assert!(answer["jobs"][0]["recomputed"].as_u64() >= Some(1), "{answer}");
    assert!(up.recomputed() >= 1);
    up.interrupt().assert_code(130).assert_says(&["SIGKILL"]);
    scene.assert_nothing_runs();
}

#[test]
fn nothing_outlives_a_killed_run() {
    let scene = Scene::new();
    let naps = tasks(&["name: nap, command: [sleep, \"1000\"], array: \"0..2\""]);
    let file = scene.file("manifest.yaml", &job_alone("long", "replicas: 2, threads: 1", &naps));
    let running = scene.start(&["run", "-f", text(&file)]);
    eventually("the commands run", || (scene.processes_named("sleep").len() == 2).then_some(()));
    signal("KILL", running.pid());
    assert_eq!(running.wait().code, None);
    scene.assert_nothing_runs();
}

#[test]
fn ctrl_c_stops_everything() {
    let scene = Scene::new();
    let nap = tasks(&["name: nap, op: sleep, args: [1000]"]);
    let file = scene.file("manifest.yaml", &job_alone("long", "replicas: 1, threads: 1", &nap));
    let running = scene.start(&["run", "-f", text(&file)]);
    eventually("a worker runs", || {
        (scene.processes_named("dasklet-worker").len() == 1).then_some(())
    });
    signal("INT", running.pid());
    running.wait().assert_code(130);
    scene.assert_nothing_runs();
}
