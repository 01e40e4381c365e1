//! Every kind of bad input: a clear sentence, an exit code that is not 0, nothing left running.

use std::net::TcpListener;

use crate::{
    manifest::{self, job_on},
    support::{Scene, text},
};

fn small() -> String {
    manifest::cluster("small", "replicas: 1, threads: 2, memory: 256Mi")
}

/// A manifest with a cluster and a job of these tasks.
fn tasks(tasks: &[&str]) -> String {
    small() + &job_on("small", "work", &manifest::tasks(tasks))
}

/// A manifest with a cluster and a query.
fn query(table: &str, sql: &str) -> String {
    small() + &job_on("small", "work", &manifest::query(table, sql))
}

fn refused(manifest: &str, code: i32, words: &[&str]) {
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", manifest);
    scene.refuses(&["run", "-f", text(&file)], code, words);
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    let manifest = small().replace("replicas", "replicsa");
    refused(&manifest, 2, &["manifest.yaml", "replicsa", "replicas"]);
}

#[test]
fn a_minimum_above_the_maximum_is_refused() {
    let manifest = small().replace("replicas: 1,", "autoscale: {minReplicas: 5, maxReplicas: 2},");
    refused(&manifest, 2, &["minReplicas", "maxReplicas"]);
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let scene = Scene::new();
    scene.refuses(&["run", "-f", "nowhere.yaml"], 2, &["nowhere.yaml"]);
}

#[test]
fn a_missing_table_file_is_named() {
    refused(&query("path: missing.csv, format: csv", "SELECT 1 FROM t"), 1, &["missing.csv"]);
}

#[test]
fn a_malformed_row_is_named_by_file_and_line() {
    let scene = Scene::new();
    let mut rows = "a,b\n".to_owned();
    for row in 0..2000 {
        rows.push_str(&format!("{row},1\n"));
    }
    rows.push_str("7,not-a-number\n");
    scene.file("broken.csv", &rows);
    let table = "path: broken.csv, format: csv, options: {infer_rows: 100}";
    let file = scene.file("manifest.yaml", &query(table, "SELECT sum(b) FROM t"));
    scene.refuses(&["run", "-f", text(&file)], 1, &["broken.csv", "2002"]);
}

#[test]
fn a_type_error_in_sql_is_explained() {
    let scene = Scene::new();
    scene.file("good.csv", "a,b\n1,x\n2,y\n");
    let sql = "SELECT sum(nothing) FROM t";
    let file = scene.file("manifest.yaml", &query("path: good.csv", sql));
    scene.refuses(&["run", "-f", text(&file)], 1, &["nothing"]);
}

#[test]
fn an_unknown_operation_is_named() {
    refused(&tasks(&["name: odd, op: cubee, args: [3]"]), 1, &["cubee"]);
}

#[test]
fn wrong_argument_types_are_explained() {
    refused(&tasks(&["name: odd, op: cube, args: [\"three\"]"]), 1, &["cube", "three"]);
}

#[test]
fn a_wrong_number_of_arguments_is_explained() {
    refused(&tasks(&["name: odd, op: cube, args: [1, 2]"]), 1, &["cube", "takes 1 argument"]);
}

#[test]
fn a_task_that_needs_itself_is_refused() {
    refused(&tasks(&["name: own, op: identity, args: [{from: own}]"]), 2, &["own -> own"]);
}

#[test]
fn a_circle_of_tasks_is_refused() {
    let manifest = tasks(&[
        "name: first, op: noop, after: [second]",
        "name: second, op: noop, after: [first]",
    ]);
    refused(&manifest, 2, &["first", "second"]);
}

#[test]
fn a_command_that_is_not_there_is_named() {
    refused(&tasks(&["name: odd, command: [no-such-program]"]), 1, &["no-such-program"]);
}

#[test]
fn a_command_that_fails_shows_its_words() {
    let manifest = tasks(&["name: odd, command: [sh, -c, \"echo broken pipe organ >&2; exit 3\"]"]);
    refused(&manifest, 1, &["exit code 3", "broken pipe organ"]);
}

#[test]
fn a_task_that_kills_its_worker_fails_with_every_attempt() {
    let manifest = tasks(&["name: killer, op: crash"]);
    refused(&manifest, 1, &["killer", "attempt 1", "attempt 2", "attempt 3", "SIGABRT"]);
}

#[test]
fn a_task_that_no_worker_can_take_is_refused() {
    let manifest = tasks(&["name: huge, op: noop, resources: {GPU: 1}"]);
    refused(&manifest, 2, &["huge", "GPU"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", &small());
    for option in ["--port", "--http-port"] {
        scene.refuses(&["up", "-f", text(&file), option, &port], 3, &["in use", &port]);
    }
}

#[test]
fn a_port_for_several_clusters_is_refused() {
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", &(small() + &manifest::cluster("other", "replicas: 1")));
    for option in ["--port", "--http-port"] {
        let up = ["up", "-f", text(&file), option, "45678"];
        scene.refuses(&up, 2, &[option, "45678", "2 clusters", "small, other"]);
    }
}

#[test]
fn a_scheduler_that_is_not_there_is_named() {
    let scene = Scene::new();
    let file = scene.file("manifest.yaml", &tasks(&["name: one, op: noop"]));
    let address = "tcp://127.0.0.1:9";
    scene.refuses(&["submit", "-f", text(&file), "--scheduler", address], 3, &["127.0.0.1:9"]);
    scene.refuses(&["get", "workers", "--http", "http://127.0.0.1:9"], 3, &["127.0.0.1:9"]);
    scene.refuses(&["worker", "--scheduler", address, "--death-timeout", "0"], 3, &["127.0.0.1:9"]);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let scene = Scene::new();
    scene.refuses(&["run"], 2, &["--file"]);
    scene.refuses(&["rnu"], 2, &["rnu"]);
    scene.refuses(&["sql", "SELECT 1 FROM t", "--table", "t"], 2, &["name=path"]);
}
