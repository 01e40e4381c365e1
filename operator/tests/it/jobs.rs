//! Jobs.

use serde_json::{Value, json};

use crate::{
    harness::{Harness, cluster},
    weather::Faults,
};

fn job(extra: Value) -> Value {
    let mut object = json!({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskJob", "metadata": {"name": "j"},
        "spec": {
            "job": {"spec": {"containers": [{"name": "job", "image": "job"}]}},
            "cluster": {"spec": {"worker": {"replicas": 1}}},
        },
    });
    crate::store::merge_into(&mut object["spec"], &extra);
    object
}

fn end(harness: &Harness, pod: &str, phase: &str, code: i32) {
    harness.until("the runner runs", |h| {
        h.get("pods", pod).is_some_and(|pod| pod["status"]["phase"] == "Running")
    });
    harness.until("it is told", |h| status(h)["jobStatus"] == "Running");
    harness.server.with(|store| {
        store.change("pods", "n", pod, |pod| {
            pod["status"]["phase"] = json!(phase);
            pod["status"]["containerStatuses"][0]["state"] =
                json!({"terminated": {"reason": "Error", "exitCode": code}});
        });
    });
}

fn status(harness: &Harness) -> Value {
    harness.get("daskjobs", "j").map_or(Value::Null, |job| job["status"].clone())
}

#[test]
fn a_job_runs_on_its_own_cluster_and_takes_it_along() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskjobs", job(json!({})));
    harness.until("the names are told", |h| status(h)["jobRunnerPodName"] == "j-runner");
    assert_eq!(status(&harness)["clusterName"], "j");
    end(&harness, "j-runner", "Succeeded", 0);
    harness.until("it is successful", |h| status(h)["jobStatus"] == "Successful");
    harness.until("its cluster is gone", |h| h.get("daskclusters", "j").is_none());
    let status = status(&harness);
    assert!(status["startTime"].is_string() && status["endTime"].is_string(), "{status}");
    assert_eq!(harness.condition("daskjobs", "j", "Complete")["status"], "True");
    // The runner's log stays.
    assert!(harness.get("pods", "j-runner").is_some());
    harness.until_quiet();
}

#[test]
fn only_its_own_failures_count() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskjobs", job(json!({"backoffLimit": 1})));
    harness.until("it runs", |h| status(h)["jobStatus"] == "Running");
    let first = harness.get("pods", "j-runner").unwrap()["metadata"]["uid"].clone();
    harness.server.with(|store| {
        store.change("pods", "n", "j-runner", |pod| {
            pod["status"] = json!({"phase": "Failed", "reason": "Evicted", "message": "disk"});
        });
    });
    harness.until("it runs again under the same name", |h| {
        h.get("pods", "j-runner").is_some_and(|pod| pod["metadata"]["uid"] != first)
    });
    assert_eq!(status(&harness)["attempts"], 1);
    end(&harness, "j-runner", "Failed", 2);
    harness.until("a second attempt is due", |h| status(h)["attempts"] == 2);
    let said = harness.condition("daskjobs", "j", "Running");
    assert!(said["message"].as_str().unwrap().contains("attempt 2 begins at 20"), "{said}");
    assert!(harness.get("pods", "j-runner-2").is_none(), "not at once");
    end(&harness, "j-runner-2", "Failed", 2);
    harness.until("it has failed", |h| status(h)["jobStatus"] == "Failed");
    let said = harness.condition("daskjobs", "j", "Failed");
    assert!(said["message"].as_str().unwrap().contains("kubectl logs j-runner-2"), "{said}");
}

#[test]
fn a_job_runs_on_a_cluster_with_its_labels() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let object = job(json!({"cluster": null, "clusterSelector": {"team": "a"}}));
    harness.create("daskjobs", object);
    harness.until("it waits", |h| {
        h.condition("daskjobs", "j", "ClusterReady")["reason"] == "NotFound"
    });
    let mut shared = cluster("shared", json!({"replicas": 1}));
    shared["metadata"]["labels"] = json!({"team": "a"});
    harness.create("daskclusters", shared);
    end(&harness, "j-runner", "Succeeded", 0);
    harness.until("it is successful", |h| status(h)["jobStatus"] == "Successful");
    harness.until_quiet();
    assert!(harness.get("daskclusters", "shared").is_some());
}

#[test]
fn a_suspended_job_waits_and_a_finished_one_is_forgotten_in_time() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskjobs", job(json!({"suspend": true, "ttlSecondsAfterFinished": 1})));
    harness.until("it is suspended", |h| status(h)["jobStatus"] == "Suspended");
    assert!(harness.get("daskclusters", "j").is_none());
    harness.patch("daskjobs", "j", json!({"spec": {"suspend": false}}));
    end(&harness, "j-runner", "Succeeded", 0);
    harness.until("it is gone", |h| h.get("daskjobs", "j").is_none());
}

#[test]
fn a_job_that_takes_too_long_fails() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    // No node takes the runner's pod: its image is refused.
    let bad = json!({"job": {"spec": {"containers": [{"name": "job", "image": "Not An Image!"}]}},
                     "activeDeadlineSeconds": 2});
    harness.create("daskjobs", job(bad));
    harness.until("it has failed", |h| status(h)["jobStatus"] == "Failed");
    assert_eq!(harness.condition("daskjobs", "j", "Failed")["reason"], "DeadlineExceeded");
}

#[test]
fn the_time_of_a_suspension_does_not_count() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    let begun = std::time::Instant::now();
    harness.create("daskjobs", job(json!({"suspend": true, "activeDeadlineSeconds": 4})));
    harness.until("it is suspended", |h| status(h)["jobStatus"] == "Suspended");
    harness.until("its deadline would be over", |_| begun.elapsed().as_secs() > 5);
    harness.patch("daskjobs", "j", json!({"spec": {"suspend": false}}));
    end(&harness, "j-runner", "Succeeded", 0);
    harness.until("it is successful", |h| status(h)["jobStatus"] == "Successful");
}

#[test]
fn a_failure_with_its_scheduler_does_not_count() {
    let harness = Harness::new();
    let _life = harness.operator(Faults::default());
    harness.create("daskjobs", job(json!({})));
    harness.until("it runs", |h| status(h)["jobStatus"] == "Running");
    let first = harness.get("pods", "j-runner").unwrap()["metadata"]["uid"].clone();
    // The runner's end is heard before the scheduler's.
    end(&harness, "j-runner", "Failed", 1);
    harness.server.with(|store| {
        let pods: Vec<String> = store
            .list("pods")
            .filter(|pod| pod["metadata"]["labels"]["dask.org/component"] == "scheduler")
            .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        for pod in pods {
            store.delete("pods", "n", &pod, None, true).unwrap();
        }
    });
    harness.until("it runs again under the same name", |h| {
        h.get("pods", "j-runner").is_some_and(|pod| pod["metadata"]["uid"] != first)
    });
    assert_eq!(status(&harness)["attempts"], 1);
    end(&harness, "j-runner", "Succeeded", 0);
    harness.until("it is successful", |h| status(h)["jobStatus"] == "Successful");
}
