//! Worker groups: sizes, deaths, groups of users.

use dasklet_operator::names;
use serde_json::json;

use crate::{
    harness::{Harness, cluster},
    weather::Faults,
};

#[test]
fn a_group_is_scaled_by_anybody() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 1})));
    harness.until("one serves", |h| h.group_status("c-default")["readyReplicas"] == 1);
    harness.patch("daskworkergroups", "c-default", json!({"spec": {"worker": {"replicas": 4}}}));
    harness.until("four serve", |h| h.group_status("c-default")["readyReplicas"] == 4);
    // The cluster's own number is old, and stays without effect until it changes.
    harness.until_quiet();
    assert_eq!(harness.workers("c-default").len(), 4);
    harness.patch("daskclusters", "c", json!({"spec": {"worker": {"replicas": 2}}}));
    harness.until("two are left", |h| h.workers("c-default").len() == 2);
    harness.until("and serve", |h| h.group_status("c-default")["replicas"] == 2);
    assert_eq!(harness.schedulers.lock().unwrap().violations, Vec::<String>::new());
    let selector = harness.group_status("c-default")["selector"].clone();
    assert_eq!(
        selector,
        "dask.org/cluster-name=c,dask.org/workergroup-name=c-default,dask.org/component=worker"
    );
    harness.patch("daskclusters", "c", json!({"spec": {"worker": {"replicas": 0}}}));
    harness.until("none is left", |h| h.group_status("c-default")["replicas"] == 0);
    harness.until("zeros are written", |h| {
        let (group, cluster) = (h.group_status("c-default"), h.get("daskclusters", "c").unwrap());
        group["readyReplicas"] == 0 && cluster["status"]["readyReplicas"] == 0
    });
    // All of this was normal.
    assert_eq!(harness.warnings(), Vec::<String>::new());
}

#[test]
fn a_dead_worker_is_told_with_its_cause_and_replaced() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 2})));
    harness.until("two serve", |h| h.group_status("c-default")["readyReplicas"] == 2);
    let old = harness.get("pods", "c-default-worker-0").unwrap()["metadata"]["uid"].clone();
    harness.server.with(|store| {
        store.change("pods", "n", "c-default-worker-0", |pod| {
            pod["status"]["phase"] = json!("Failed");
            pod["status"]["containerStatuses"][0]["state"] =
                json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
        });
    });
    harness.until("the scheduler knows the cause", |h| {
        let schedulers = h.schedulers.lock().unwrap();
        schedulers.lost.contains(&("c-default-worker-0".to_owned(), "OOMKilled".to_owned()))
    });
    harness.until("another one serves", |h| {
        let workers = h.workers("c-default");
        workers.len() == 2
            && workers
                .iter()
                .all(|w| w["metadata"]["uid"] != old && w["status"]["phase"] == "Running")
    });
    let told = harness.server.store().list("events").any(|event| {
        event["note"].as_str().unwrap_or_default().contains("used more memory than its limit")
    });
    assert!(told);
    let warnings = harness.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("WorkerDied"), "{warnings:?}");
}

#[test]
fn a_group_of_a_user_is_adopted_without_labels() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let group = json!({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskWorkerGroup",
        "metadata": {"name": "c-big"},
        "spec": {"cluster": "c", "worker": {"replicas": 2}},
    });
    harness.create("daskworkergroups", group);
    harness.until("its cluster is missed", |h| {
        h.condition("daskworkergroups", "c-big", "Ready")["reason"] == "NotFound"
    });
    harness.create("daskclusters", cluster("c", json!({"replicas": 0})));
    harness.until("it says that there are none", |h| {
        h.group_status("c-default")["readyReplicas"] == 0
    });
    harness.until("its workers serve", |h| h.group_status("c-big")["readyReplicas"] == 2);
    let group = harness.get("daskworkergroups", "c-big").unwrap();
    assert_eq!(group["metadata"]["ownerReferences"][0]["kind"], "DaskCluster");
    assert!(group["metadata"].get("labels").is_none());
}

#[test]
fn a_group_that_leaves_the_spec_is_drained_and_goes() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let mut object = cluster("c", json!({"replicas": 1}));
    object["spec"]["workerGroups"] = json!([{"name": "big", "replicas": 2}]);
    harness.create("daskclusters", object);
    harness.until("its workers serve", |h| h.group_status("c-big")["readyReplicas"] == 2);
    harness.schedulers.lock().unwrap().submit("c", 60);
    harness.patch("daskclusters", "c", json!({"spec": {"workerGroups": null}}));
    harness.until("the group is gone", |h| h.get("daskworkergroups", "c-big").is_none());
    harness.until("all is done", |h| h.schedulers.lock().unwrap().open("c") == 0);
    let schedulers = harness.schedulers.lock().unwrap();
    assert_eq!(schedulers.violations, Vec::<String>::new());
    assert_eq!(schedulers.account("c"), (60, 60));
}

#[test]
fn a_pod_of_somebody_else_is_left_alone() {
    let harness = Harness::new();
    let foreign = json!({
        "metadata": {"name": "c-default-worker-0"},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    });
    harness.create("pods", foreign);
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 1})));
    harness.until("it is told", |h| {
        let said = h.condition("daskworkergroups", "c-default", "WorkersReady");
        said["message"].as_str().unwrap_or_default().contains("belongs to somebody else")
    });
    let pod = harness.get("pods", "c-default-worker-0").unwrap();
    assert!(pod["metadata"]["labels"][names::CLUSTER_NAME].is_null());
}

#[test]
fn more_workers_than_there_are_never_count_as_ready() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 3})));
    harness.until("three serve", |h| h.group_status("c-default")["readyReplicas"] == 3);
    for round in 0..8 {
        let scale = |replicas: u32| {
            let size = json!({"spec": {"worker": {"replicas": replicas}}});
            harness.patch("daskworkergroups", "c-default", size);
        };
        scale(1);
        harness.until("one is told", |h| h.group_status("c-default")["readyReplicas"] == 1);
        // Sometimes the drain is called back, sometimes the pods are gone.
        std::thread::sleep(std::time::Duration::from_millis(20 * round));
        scale(3);
        harness.until("three are told", |h| h.group_status("c-default")["readyReplicas"] == 3);
        let running = harness.workers("c-default").into_iter();
        let running = running.filter(|pod| pod["status"]["phase"] == "Running").count();
        assert_eq!(running, 3, "in round {round}");
    }
    assert_eq!(harness.schedulers.lock().unwrap().violations, Vec::<String>::new());
}
