//! Groups that scale themselves.

use serde_json::json;

use crate::{
    harness::{Harness, cluster},
    weather::Faults,
};

fn scaled(min: u32, max: u32) -> serde_json::Value {
    json!({"autoscale": {
        "minReplicas": min, "maxReplicas": max,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }})
}

#[test]
fn a_group_grows_from_zero_with_the_work_and_shrinks_without_losing_any() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", scaled(0, 4)));
    harness.until("the scheduler is ready", |h| {
        h.condition("daskclusters", "c", "SchedulerReady")["status"] == "True"
    });
    assert!(harness.workers("c-default").is_empty());
    harness.schedulers.lock().unwrap().submit("c", 40);
    harness.until("it has grown", |h| h.workers("c-default").len() == 4);
    harness.until("all is done", |h| h.schedulers.lock().unwrap().open("c") == 0);
    // Results are held: one worker stays to hold them.
    harness.until("one is left", |h| h.workers("c-default").len() == 1);
    harness.until_quiet();
    let schedulers = harness.schedulers.lock().unwrap();
    assert_eq!(schedulers.violations, Vec::<String>::new());
    assert_eq!(schedulers.account("c"), (40, 40));
    drop(schedulers);
    assert!(harness.most_workers("c-default") <= 4);
    // The size is where Dask's tools read it, and the user's own spec is as it was.
    let group = harness.get("daskworkergroups", "c-default").unwrap();
    assert_eq!(group["spec"]["worker"]["replicas"], 1);
    assert_eq!(group["status"]["desiredReplicas"], 1);
    let spec = &harness.get("daskclusters", "c").unwrap()["spec"]["worker"];
    assert!(spec.get("replicas").is_none());
}

#[test]
fn an_autoscaler_object_means_the_same_and_leaves_the_size_behind() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 1})));
    let autoscaler = json!({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskAutoscaler",
        "metadata": {"name": "c"}, "spec": {"cluster": "c", "minimum": 2, "maximum": 5},
    });
    harness.create("daskautoscalers", autoscaler);
    harness.until("it reaches the minimum", |h| h.workers("c-default").len() == 2);
    harness.until("it is followed", |h| {
        h.condition("daskautoscalers", "c", "Active")["status"] == "True"
    });
    harness.schedulers.lock().unwrap().submit("c", 200);
    harness.until("it has grown", |h| h.workers("c-default").len() == 5);
    harness.server.with(|store| store.delete("daskautoscalers", "n", "c", None, false)).unwrap();
    harness.patch("daskworkergroups", "c-default", json!({"spec": {"worker": {"replicas": 3}}}));
    harness.until("scale() counts again", |h| h.workers("c-default").len() == 3);
    harness.until("all is done", |h| h.schedulers.lock().unwrap().open("c") == 0);
    assert_eq!(harness.schedulers.lock().unwrap().violations, Vec::<String>::new());
}

#[test]
fn a_silent_scheduler_holds_the_size_and_delays_nobody() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", scaled(0, 3)));
    harness.schedulers.lock().unwrap().submit("c", 1000);
    harness.until("three work", |h| h.group_status("c-default")["readyReplicas"] == 3);
    harness.schedulers.lock().unwrap().silent.insert("c".to_owned());
    harness.create("daskclusters", cluster("d", json!({"replicas": 2})));
    harness
        .until("the other cluster serves", |h| h.group_status("d-default")["readyReplicas"] == 2);
    harness.until("it is told", |h| {
        h.condition("daskclusters", "c", "SchedulerReady")["reason"] == "SchedulerUnreachable"
    });
    assert_eq!(harness.workers("c-default").len(), 3);
    assert_eq!(harness.most_workers("c-default"), 3);
}

#[test]
fn an_idle_cluster_hibernates_and_wakes() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let mut object = cluster("c", json!({"replicas": 2}));
    object["spec"]["idleTimeout"] = json!(3);
    object["spec"]["idleAction"] = json!("Hibernate");
    harness.create("daskclusters", object);
    harness.until("no pod is left", |h| {
        h.get("daskclusters", "c").unwrap()["status"]["phase"] == "Suspended"
    });
    assert_eq!(harness.server.store().list("pods").count(), 0);
    assert_eq!(harness.condition("daskclusters", "c", "Suspended")["reason"], "Hibernating");
    harness.schedulers.lock().unwrap().submit("c", 10);
    harness.patch(
        "daskclusters",
        "c",
        json!({"metadata": {"annotations": {"dask.org/wake": "1"}}}),
    );
    harness.until("it works again", |h| h.schedulers.lock().unwrap().account("c") == (10, 10));
}

#[test]
fn an_idle_cluster_is_deleted() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let mut object = cluster("c", json!({"replicas": 1}));
    object["spec"]["idleTimeout"] = json!(3);
    harness.create("daskclusters", object);
    harness.until("it is gone", |h| h.get("daskclusters", "c").is_none());
}
