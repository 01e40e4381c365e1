//! The corpus of manifests: what is read from a file and what an API server says agree.

#![allow(clippy::unwrap_used)]

mod support;

use dasklet_api::{Diagnostic, lint, parse_documents};
use serde_json::{Value, json};
use support::{
    corpus::{documents, examples},
    server,
};

/// What a person is told about one document.
fn told(text: &str) -> Vec<String> {
    let found = match parse_documents(text, "corpus.yaml") {
        Ok(manifests) => lint(&manifests),
        Err(found) => found,
    };
    // Other documents, which may hold the cluster that this one names, are not looked at.
    found.iter().filter(|found| found.is_error()).map(Diagnostic::to_string).collect()
}

#[test]
fn good_documents_and_examples_are_accepted_by_both() {
    let mut wrong = Vec::new();
    for document in documents("good").into_iter().chain(examples()) {
        let (offline, server) = (told(&document.text), server::verdict(&document.text));
        if !offline.is_empty() || !server.is_empty() {
            wrong.push(format!("{}: {offline:#?} {server:#?}", document.place));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_documents_are_refused_by_both_with_the_words_expected() {
    let mut wrong = Vec::new();
    for document in documents("bad") {
        let (offline, server) = (told(&document.text), server::verdict(&document.text));
        let lint = document.lint.as_deref().unwrap();
        if !offline.iter().any(|line| line.contains(lint)) {
            wrong.push(format!("{}: expected {lint}\n  offline: {offline:?}", document.place));
        }
        let rule = document.rule.as_deref().unwrap_or_default();
        if !server.iter().any(|line| line.contains(rule)) {
            wrong.push(format!("{}: expected {rule}\n  server: {server:?}", document.place));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_an_api_server_cannot_see_is_refused_before_or_after_it() {
    for document in documents("late") {
        let lint = document.lint.as_deref().unwrap();
        let offline = told(&document.text);
        assert!(offline.iter().any(|line| line.contains(lint)), "{}: {offline:?}", document.place);
        let server = server::verdict(&document.text);
        assert!(server.is_empty(), "{}: {server:?}", document.place);
    }
}

/// Every selection of fields, put to both.
fn agree_on_every_selection(kind: &str, around: impl Fn(Value) -> Value, fields: &[(&str, Value)]) {
    for selection in 0..1u32 << fields.len() {
        let chosen = fields.iter().enumerate().filter(|(at, _)| selection >> at & 1 == 1);
        let part: serde_json::Map<String, Value> =
            chosen.map(|(_, (name, value))| ((*name).to_owned(), value.clone())).collect();
        let object = json!({
            "apiVersion": "kubernetes.dask.org/v1",
            "kind": kind,
            "metadata": {"name": "x"},
            "spec": around(Value::Object(part)),
        });
        let text = serde_yaml::to_string(&object).unwrap();
        let (offline, server) = (told(&text), server::verdict(&text));
        assert_eq!(offline.is_empty(), server.is_empty(), "{text}{offline:#?}\n{server:#?}");
    }
}

#[test]
fn the_verdicts_are_equal_for_every_selection_of_fields() {
    let labels = json!({"a": "b"});
    let tasks = json!({"tasks": [{"name": "a", "op": "noop"}]});
    let job = [
        ("job", json!({})),
        ("workload", tasks.clone()),
        ("cluster", json!({"spec": {}})),
        ("clusterName", json!("c")),
        ("clusterSelector", labels.clone()),
    ];
    agree_on_every_selection("DaskJob", |spec| spec, &job);
    let workload = [
        ("sql", json!("SELECT 1")),
        ("tasks", tasks["tasks"].clone()),
        ("tables", json!({"t": {"path": "t.csv"}})),
        ("output", json!({"path": "out.csv"})),
    ];
    agree_on_every_selection(
        "DaskJob",
        |workload| json!({"clusterName": "c", "workload": workload}),
        &workload,
    );
    let task = [
        ("command", json!(["true"])),
        ("op", json!("noop")),
        ("args", json!([1])),
        ("env", labels.clone()),
        ("stdin", json!("text")),
        ("files", labels.clone()),
        ("inputs", json!({})),
    ];
    agree_on_every_selection(
        "DaskJob",
        |mut task| {
            task["name"] = json!("a");
            json!({"clusterName": "c", "workload": {"tasks": [task]}})
        },
        &task,
    );
    let worker = [
        ("spec", json!({"containers": [{"name": "w"}]})),
        ("image", json!("x")),
        ("threads", json!(1)),
        ("memory", json!("1Gi")),
        ("env", labels),
    ];
    agree_on_every_selection("DaskCluster", |worker| json!({"worker": worker}), &worker);
}

/// Texts and numbers at the edges of what a quantity is.
#[test]
fn the_verdicts_are_equal_for_every_quantity() {
    for amount in [
        "1", "0", "0.0", "00", "01", "1.", ".5", "0.5", ".", "", "-1", "+1", "++1", "1e3", "1E3",
        "1e-3", "1e", "1Ki", "1ki", "1K", "1k", "1m", "1u", "1n", "1Mi", "1Gi", "1GB", "1 Gi",
        " 1", "Gi", "1.5Gi", "1e3Gi", "0m", "0Gi", "0.0001", "100Ei",
    ] {
        for (field, part) in [
            ("memory", json!({"memory": amount})),
            ("resources", json!({"resources": {"GPU": amount}})),
            (
                "limits",
                json!({"spec": {"containers": [
                {"name": "w", "resources": {"limits": {"cpu": amount}}}]}}),
            ),
        ] {
            let object = json!({
                "apiVersion": "kubernetes.dask.org/v1",
                "kind": "DaskCluster",
                "metadata": {"name": "x"},
                "spec": {"worker": part},
            });
            let text = serde_yaml::to_string(&object).unwrap();
            let (offline, server) = (told(&text), server::verdict(&text));
            // What is too large for any machine is only seen here.
            if amount != "100Ei" {
                let equal = offline.is_empty() == server.is_empty();
                assert!(equal, "{field} '{amount}': {offline:?} {server:?}");
            }
        }
    }
}

#[test]
fn what_cannot_change_is_said() {
    let group = |cluster: &str| {
        json!({"kind": "DaskWorkerGroup", "metadata": {"name": "g"},
            "spec": {"cluster": cluster, "worker": {"replicas": 1}}})
    };
    let job = |spec: Value| json!({"kind": "DaskJob", "metadata": {"name": "j"}, "spec": spec});
    let by_name = |name: &str| job(json!({"job": {}, "clusterName": name}));
    for (old, new, expected) in [
        (group("a"), group("a"), None),
        (group("a"), group("b"), Some("a worker group stays with its cluster")),
        (by_name("a"), by_name("a"), None),
        (by_name("a"), by_name("b"), Some("clusterName of a job cannot change")),
        (
            by_name("a"),
            job(json!({"job": {}, "clusterSelector": {"a": "b"}})),
            Some("clusterSelector of a job cannot change"),
        ),
        (
            by_name("a"),
            job(json!({"workload": {"sql": "SELECT 1"}, "clusterName": "a"})),
            Some("workload cannot be added to a job or taken from it"),
        ),
    ] {
        let server = server::verdict_of_change(&old, &new);
        match expected {
            None => assert!(server.is_empty(), "{server:?}"),
            Some(text) => {
                assert!(server.iter().any(|line| line.contains(text)), "{text}: {server:?}");
            }
        }
    }
}

/// An object that was there before the rules about names may still be changed, and so deleted.
#[test]
fn an_old_name_is_no_reason_to_refuse_a_change() {
    let cluster =
        json!({"kind": "DaskCluster", "metadata": {"name": "a.b"}, "spec": {"worker": {}}});
    assert!(server::verdict_of_change(&cluster, &cluster).is_empty());
}
