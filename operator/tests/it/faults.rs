//! Faults below the client: for each of them the end is that of an undisturbed run, and on the way
//! there are never more workers than allowed, and no task is lost.

use std::time::Duration;

use dasklet_operator::template::merge_diff;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    harness::{Harness, Life, cluster},
    server::Faults,
};

fn spec() -> Value {
    json!({"autoscale": {
        "minReplicas": 1, "maxReplicas": 4,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }})
}

/// A cluster with a fixed and a scaled group that gets work, does it, and loses its fixed group.
fn scenario(
    harness: &Harness,
    begin: impl FnOnce() -> Life,
    watch: impl Fn(&Harness, Life),
) -> Value {
    let mut object = cluster("c", spec());
    object["spec"]["workerGroups"] = json!([{"name": "fixed", "replicas": 2}]);
    harness.create("daskclusters", object);
    harness.schedulers.lock().unwrap().submit("c", 40);
    watch(harness, begin());
    harness.until("the first work is done", |h| h.schedulers.lock().unwrap().open("c") == 0);
    harness.patch("daskclusters", "c", json!({"spec": {"workerGroups": null}}));
    harness.until("the group is gone", |h| h.get("daskworkergroups", "c-fixed").is_none());
    harness.until("one worker is left", |h| {
        h.group_status("c-default")["replicas"] == 1
            && h.workers("c-default").len() == 1
            && h.group_status("c-default")["readyReplicas"] == 1
    });
    harness.until("the cluster is ready", |h| {
        h.condition("daskclusters", "c", "Ready")["status"] == "True"
            && h.condition("daskclusters", "c", "Progressing")["status"] == "False"
    });
    harness.until_quiet();
    let schedulers = harness.schedulers.lock().unwrap();
    assert_eq!(schedulers.violations, Vec::<String>::new());
    assert_eq!(schedulers.account("c"), (40, 40));
    drop(schedulers);
    assert!(harness.most_workers("c-default") <= 4);
    assert!(harness.most_workers("c-fixed") <= 2);
    normal(harness.end_state())
}

/// Which slot the last worker has depends on who was drained first.
fn normal(state: Value) -> Value {
    let mut pods = 0;
    let kept: serde_json::Map<String, Value> = state
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, object)| {
            if name.starts_with("pods/c-default-worker-") {
                pods += 1;
                return None;
            }
            Some((name.clone(), object.clone()))
        })
        .collect();
    assert_eq!(pods, 1);
    Value::Object(kept)
}

fn undisturbed() -> Value {
    let harness = Harness::new();
    let lives = std::cell::RefCell::new(Vec::new());
    scenario(
        &harness,
        || harness.operator(Faults::default()),
        |_, life| lives.borrow_mut().push(life),
    )
}

#[test]
fn killed_after_every_kth_write() {
    let expected = undisturbed();
    let step = std::env::var("DASKLET_KILL_STEP").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let mut reached = 0;
    let mut differences = Vec::new();
    for k in (1..).step_by(step) {
        let harness = Harness::new();
        let died = std::cell::Cell::new(false);
        let lives = std::cell::RefCell::new(Vec::new());
        let faults = Faults { kill_after: Some(k), seed: k as u64, ..Faults::default() };
        let harness_ref = &harness;
        let end = scenario(
            harness_ref,
            || harness_ref.operator(faults),
            |harness, life| {
                let deadline = std::time::Instant::now() + Duration::from_secs(6);
                while !*life.kill.borrow() && std::time::Instant::now() < deadline {
                    let done = harness.schedulers.lock().unwrap().open("c") == 0;
                    if done && harness.group_status("c-default")["replicas"] == 1 {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                died.set(*life.kill.borrow());
                life.kill();
                lives.borrow_mut().push(harness.operator(Faults::default()));
            },
        );
        if let Some(difference) = merge_diff(&expected, &end) {
            differences.push(format!("after a kill at write {k}: {difference}"));
        }
        reached = k;
        if !died.get() {
            break;
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert!(reached > 10, "only {reached} writes were tried");
}

#[test]
fn bad_weather() {
    let expected = undisturbed();
    for seed in 0..6 {
        let harness = Harness::new();
        let faults = Faults {
            seed,
            failing_writes: 0.15,
            odd_events: 0.3,
            stale_lists: 0.5,
            kill_after: None,
        };
        let lives = std::cell::RefCell::new(Vec::new());
        let end = scenario(
            &harness,
            || harness.operator(faults),
            |_, life| lives.borrow_mut().push(life),
        );
        assert_eq!(merge_diff(&expected, &end), None, "with seed {seed}");
    }
}

/// Changes of the spec, valid and not, in any order: the end is that of the last valid one.
#[test]
fn random_walks_end_where_a_fresh_apply_does() {
    for seed in 0..3 {
        let mut rng = StdRng::seed_from_u64(seed);
        let harness = Harness::new();
        let life = harness.operator(Faults { seed, odd_events: 0.2, ..Faults::default() });
        let worker = |image: &str, replicas: u32| json!({"replicas": replicas, "spec": {"containers": [{"name": "w", "image": image}]}});
        harness.create("daskclusters", cluster("c", worker("one", 2)));
        let mut valid = ("one", 2);
        for _ in 0..8 {
            let image = ["one", "two", "Not An Image!", "three"][rng.random_range(0..4)];
            let replicas = rng.random_range(0..4);
            harness.patch(
                "daskclusters",
                "c",
                json!({"spec": {"worker": worker(image, replicas)}}),
            );
            if image != "Not An Image!" {
                valid = (image, replicas);
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
        }
        harness.patch("daskclusters", "c", json!({"spec": {"worker": worker(valid.0, valid.1)}}));
        harness.until("the last valid spec holds", |h| {
            let workers = h.workers("c-default");
            workers.len() == valid.1 as usize
                && workers.iter().all(|w| w["spec"]["containers"][0]["image"] == valid.0)
                && h.group_status("c-default")["readyReplicas"] == valid.1
        });
        harness.until_quiet();
        let walked = harness.end_state();
        life.kill();
        let fresh = Harness::new();
        let _life = fresh.operator(Faults::default());
        fresh.create("daskclusters", cluster("c", worker(valid.0, valid.1)));
        fresh.until("it is there", |h| h.group_status("c-default")["readyReplicas"] == valid.1);
        fresh.until_quiet();
        let conditions = |state: &Value| {
            let cluster = &state["daskclusters/c"];
            json!({
                "spec": cluster["spec"],
                "status": cluster["status"],
                "group": state["daskworkergroups/c-default"]["spec"],
                "scheduler": state["deployments/c-scheduler"]["spec"],
            })
        };
        let (walked, fresh) = (conditions(&walked), conditions(&fresh.end_state()));
        assert_eq!(merge_diff(&fresh, &walked), None, "seed {seed}");
    }
}

#[test]
fn an_operator_that_is_told_to_stop_finishes_and_the_next_goes_on() {
    let harness = Harness::new();
    let life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", json!({"replicas": 3})));
    harness.until("the first pod is there", |h| !h.workers("c-default").is_empty());
    life.stop();
    let _next = harness.operator(Faults::default());
    harness.until("three serve", |h| h.group_status("c-default")["readyReplicas"] == 3);
    assert_eq!(harness.most_workers("c-default"), 3);
}
