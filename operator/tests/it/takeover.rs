//! Clusters that dask-kubernetes made.

use dasklet_operator::names::KOPF_FINALIZER;
use serde_json::{Value, json};

use crate::{harness::Harness, weather::Faults};

fn labels(component: &str) -> Value {
    json!({"dask.org/cluster-name": "c", "dask.org/component": component})
}

/// What dask-kubernetes leaves: a cluster with finalizer, scheduler, service, group and two
/// deployments for workers, all with their pods.
fn left_behind(harness: &Harness) {
    let pod_spec = json!({"containers": [{"name": "x", "image": "dask"}]});
    let worker = json!({"replicas": 2, "spec": pod_spec});
    harness.create(
        "daskclusters",
        json!({
            "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster",
            "metadata": {"name": "c", "finalizers": [KOPF_FINALIZER]},
            "spec": {"worker": worker, "scheduler": {
                "spec": pod_spec,
                "service": {"type": "ClusterIP", "ports": [{"name": "tcp-comm", "port": 8786}]}}},
        }),
    );
    let uid =
        |plural: &str, name: &str| harness.get(plural, name).unwrap()["metadata"]["uid"].clone();
    let owner = |kind: &str, name: &str, uid: Value| {
        json!([{"apiVersion": "kubernetes.dask.org/v1", "kind": kind, "name": name, "uid": uid,
                "controller": true}])
    };
    let by_cluster = owner("DaskCluster", "c", uid("daskclusters", "c"));
    harness.create(
        "daskworkergroups",
        json!({
            "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskWorkerGroup",
            "metadata": {"name": "c-default", "labels": labels("workergroup"),
                         "ownerReferences": by_cluster},
            "spec": {"cluster": "c", "worker": worker},
        }),
    );
    harness.create(
        "services",
        json!({
            "metadata": {"name": "c-scheduler", "labels": labels("scheduler"),
                         "ownerReferences": by_cluster},
            "spec": {"type": "ClusterIP", "ports": [{"name": "tcp-comm", "port": 8786}]},
        }),
    );
    let by_group = owner("DaskWorkerGroup", "c-default", uid("daskworkergroups", "c-default"));
    for (name, component, owner) in [
        ("c-scheduler", "scheduler", &by_cluster),
        ("c-default-worker-0a1b2c3d4e", "worker", &by_group),
        ("c-default-worker-5f6a7b8c9d", "worker", &by_group),
    ] {
        let mut labels = labels(component);
        if component == "worker" {
            labels["dask.org/workergroup-name"] = json!("c-default");
        }
        harness.create(
            "deployments",
            json!({
                "metadata": {"name": name, "labels": labels, "ownerReferences": owner},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                         "template": {"metadata": {"labels": labels}, "spec": pod_spec}},
            }),
        );
    }
    harness.until("its pods run", |h| {
        let store = h.server.store();
        store.list("pods").filter(|pod| pod["status"]["phase"] == "Running").count() == 3
    });
}

fn pods(harness: &Harness) -> Vec<String> {
    let store = harness.server.store();
    store.list("pods").map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_pod_restarts_and_the_finalizer_goes() {
    let harness = Harness::new();
    left_behind(&harness);
    let before = pods(&harness);
    let _life = harness.operator(Faults::default());
    harness.until("it is ours", |h| h.group_status("c-default")["readyReplicas"] == 2);
    harness.until_quiet();
    assert_eq!(pods(&harness), before);
    let cluster = harness.get("daskclusters", "c").unwrap();
    assert_eq!(cluster["metadata"]["finalizers"], json!([]));
    // The old workers go when they are scaled away, drained, and the new ones are pods.
    harness.patch("daskworkergroups", "c-default", json!({"spec": {"worker": {"replicas": 3}}}));
    harness.until("a third serves", |h| h.group_status("c-default")["readyReplicas"] == 3);
    assert!(harness.get("pods", "c-default-worker-0").is_some());
    harness.patch("daskworkergroups", "c-default", json!({"spec": {"worker": {"replicas": 0}}}));
    harness.until("all are gone", |h| {
        let store = h.server.store();
        store.list("deployments").count() == 1 && store.list("pods").count() == 1
    });
    assert_eq!(harness.schedulers.lock().unwrap().violations, Vec::<String>::new());
}

#[test]
fn nothing_is_written_while_the_other_operator_lives() {
    let harness = Harness::new();
    left_behind(&harness);
    let server = harness.server.clone();
    // Its finalizer comes back as often as somebody removes it.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        while stopped.try_recv().is_err() {
            server.with(|store| {
                store.change("daskclusters", "n", "c", |cluster| {
                    cluster["metadata"]["finalizers"] = json!([KOPF_FINALIZER]);
                });
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let _life = harness.operator(Faults::default());
    harness.patch("daskworkergroups", "c-default", json!({"spec": {"worker": {"replicas": 5}}}));
    harness.until("it is told", |h| {
        h.condition("daskclusters", "c", "Ready")["reason"] == "OtherOperatorActive"
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(pods(&harness).len(), 3);
    stop.send(()).unwrap();
    other.join().unwrap();
}
