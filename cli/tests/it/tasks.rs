//! Graphs of tasks from a manifest.

use crate::{
    manifest::{job_alone, tasks},
    support::{Scene, example, text},
};

#[test]
fn the_example_of_tasks_runs() {
    let scene = Scene::new();
    let file = example("tasks.yaml");
    let answer = scene.answer(&file);
    for job in answer["jobs"].as_array().unwrap() {
        assert_eq!(job["succeeded"], true, "{job}");
        assert_eq!(job["failed"], 0, "{job}");
    }
    for (_, cluster) in answer["clusters"].as_object().unwrap() {
        assert!(cluster["workersStarted"].as_u64().unwrap() > 0);
        assert!(cluster["tasksDone"].as_u64().unwrap() > 0);
        assert_eq!(cluster["deaths"].as_array().unwrap().len(), 0, "{cluster}");
    }
    scene.assert_nothing_runs();
}

#[test]
fn results_are_what_the_operations_give() {
    let scene = Scene::new();
    let work = tasks(&[
        "name: cube, op: cube, args: [{index: true}], array: \"0..5\"",
        "name: total, op: sum, args: [{from: cube}]",
        "name: hello, command: [sh, -c, \"printf 'task %s attempt %s' $DASKLET_TASK $DASKLET_ATTEMPT\"]",
    ]);
    let file = scene.file("manifest.yaml", &job_alone("sums", "replicas: 2, threads: 1", &work));
    let answer = scene.answer(&file);
    let results = answer["jobs"][0]["results"].as_array().unwrap();
    let value = |name: &str| {
        results.iter().find(|result| result["task"] == name).map(|result| &result["value"])
    };
    assert_eq!(value("total").unwrap(), &serde_json::json!(100));
    assert_eq!(value("hello").unwrap(), &serde_json::json!("task sums/hello attempt 1"));
    assert_eq!(answer["clusters"]["sums"]["tasksDone"], 7);
    scene.assert_nothing_runs();
}

#[test]
fn a_person_reads_results_on_standard_output_and_the_rest_beside_it() {
    let scene = Scene::new();
    let work = tasks(&["name: answer, op: add, args: [40, 2]"]);
    let file = scene.file("manifest.yaml", &job_alone("one", "replicas: 1", &work));
    let ended = scene.run(&["run", "-f", text(&file)]);
    ended.assert_code(0).assert_says(&["job one succeeded", "1 started", "0 -> 1"]);
    assert!(ended.out.contains("answer") && ended.out.contains("42"), "{}", ended.out);
    let quiet = scene.run(&["run", "-f", text(&file), "--quiet"]);
    assert_eq!(quiet.assert_code(0).err, "");
    assert_eq!(quiet.out, ended.out);
    scene.assert_nothing_runs();
}
