//! Clusters: parts, status, suspension, refusals.

use serde_json::json;

use crate::{
    harness::{Harness, cluster},
    weather::Faults,
};

#[test]
fn a_cluster_comes_up_and_then_nothing_is_written() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 3})));
    harness.until("three workers serve", |h| h.group_status("c-default")["readyReplicas"] == 3);
    harness.until("the cluster is ready", |h| {
        h.condition("daskclusters", "c", "Ready")["status"] == "True"
    });
    let status = harness.get("daskclusters", "c").unwrap()["status"].clone();
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["replicas"], 3);
    assert_eq!(status["schedulerAddress"], "tcp://c-scheduler.n.svc:8786");
    let names: Vec<String> = harness
        .workers("c-default")
        .iter()
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["c-default-worker-0", "c-default-worker-1", "c-default-worker-2"]);
    harness.until_quiet();
    let writes = harness.server.writes();
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(harness.server.writes(), writes, "an idle operator writes nothing");
}

#[test]
fn a_cluster_runs_whatever_its_pods_do() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let bad =
        json!({"spec": {"containers": [{"name": "w", "image": "Not An Image!"}]}, "replicas": 2});
    harness.create("daskclusters", cluster("c", bad));
    harness
        .until("it runs", |h| h.get("daskclusters", "c").unwrap()["status"]["phase"] == "Running");
    harness.until("the template is named", |h| {
        h.condition("daskclusters", "c", "TemplatesValid")["reason"] == "TemplateRefused"
    });
    let said = harness.condition("daskworkergroups", "c-default", "TemplatesValid");
    assert!(said["message"].as_str().unwrap().contains("Invalid value"), "{said}");
}

#[test]
fn a_refused_change_leaves_the_last_good_workers() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let good = json!({"spec": {"containers": [{"name": "w", "image": "good"}]}, "replicas": 2});
    harness.create("daskclusters", cluster("c", good));
    harness.until("two workers serve", |h| h.group_status("c-default")["readyReplicas"] == 2);
    let bad = json!([{"name": "w", "image": "Not An Image!"}]);
    harness.patch("daskclusters", "c", json!({"spec": {"worker": {"spec": {"containers": bad}}}}));
    harness.until("the refusal is told", |h| {
        h.condition("daskclusters", "c", "TemplatesValid")["status"] == "False"
    });
    harness.until_quiet();
    let group = harness.get("daskworkergroups", "c-default").unwrap();
    assert_eq!(group["spec"]["worker"]["spec"]["containers"][0]["image"], "good");
    assert_eq!(harness.workers("c-default").len(), 2);
    // A good change reaches every worker, one after the other.
    let better = json!([{"name": "w", "image": "better"}]);
    harness.patch(
        "daskclusters",
        "c",
        json!({"spec": {"worker": {"spec": {"containers": better}}}}),
    );
    harness.until("all workers are new", |h| {
        let workers = h.workers("c-default");
        workers.len() == 2
            && workers.iter().all(|w| w["spec"]["containers"][0]["image"] == "better")
    });
    harness.until("the refusal is forgotten", |h| {
        h.condition("daskclusters", "c", "TemplatesValid")["status"] == "True"
    });
}

#[test]
fn an_invalid_name_is_told() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("has.dots", json!({})));
    harness.until("it is refused", |h| {
        h.condition("daskclusters", "has.dots", "Accepted")["status"] == "False"
    });
    assert_eq!(harness.get("daskclusters", "has.dots").unwrap()["status"]["phase"], "Error");
    assert!(harness.get("deployments", "has.dots-scheduler").is_none());
}

#[test]
fn a_cluster_is_suspended_and_comes_back() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 2})));
    harness.until("two workers serve", |h| h.group_status("c-default")["readyReplicas"] == 2);
    harness.patch("daskclusters", "c", json!({"spec": {"suspend": true}}));
    harness.until("all pods are gone", |h| h.server.store().list("pods").count() == 0);
    harness.until("it says so", |h| {
        h.get("daskclusters", "c").unwrap()["status"]["phase"] == "Suspended"
    });
    harness.patch("daskclusters", "c", json!({"spec": {"suspend": false}}));
    harness.until("two workers serve again", |h| h.group_status("c-default")["readyReplicas"] == 2);
    assert!(harness.schedulers.lock().unwrap().violations.is_empty());
}

#[test]
fn a_deleted_cluster_takes_everything_along() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 2})));
    harness.until("two workers serve", |h| h.group_status("c-default")["readyReplicas"] == 2);
    harness.server.with(|store| store.delete("daskclusters", "n", "c", None, false)).unwrap();
    harness.until("nothing is left", |h| {
        h.server.store().objects.keys().all(|(plural, _, _)| plural == "events")
    });
    harness.until_quiet();
    assert!(harness.get("deployments", "c-scheduler").is_none());
}
