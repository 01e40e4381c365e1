//! The life of a cluster that faults are put into: whatever they are, its end is the same, on the
//! way there are never more workers than allowed, and no task is lost.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use dasklet_operator::template::merge_diff;
use serde_json::{Value, json};

use crate::{
    end_state::end_state,
    harness::{Harness, Life, cluster},
    server::Server,
    weather::Faults,
};

/// A cluster with a fixed and a scaled group that gets work, does it, and loses its fixed group.
/// `operate` starts the operator.
fn live(harness: &Harness, operate: impl FnOnce(&Harness)) -> Value {
    // Real pods take longer to start, and should find work all the same.
    let tasks = if harness.server.is_real() { 400 } else { 40 };
    let scaled = json!({"autoscale": {
        "minReplicas": 1, "maxReplicas": 4,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }});
    let mut object = cluster("c", scaled);
    object["spec"]["workerGroups"] = json!([{"name": "fixed", "replicas": 2}]);
    harness.create("daskclusters", object);
    harness.schedulers.lock().unwrap().submit("c", tasks);
    operate(harness);
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
    assert_eq!(schedulers.account("c"), (tasks, usize::try_from(tasks).unwrap()));
    drop(schedulers);
    assert!(harness.most_workers("c-default") <= 4);
    assert!(harness.most_workers("c-fixed") <= 2);
    end_state(harness)
}

/// One life of the operator from beginning to end.
pub fn in_weather(server: Server, faults: Faults) -> Value {
    let harness = Harness::on(server);
    let life = RefCell::new(None);
    let end = live(&harness, |harness| *life.borrow_mut() = Some(harness.operator(faults)));
    harness.server.close();
    end
}

/// An operator that is killed after its k-th write, and another one after it; and whether it came
/// to the k-th write at all.
pub fn killed_after(server: Server, k: usize) -> (Value, bool) {
    let harness = Harness::on(server);
    let died = Cell::new(false);
    let next: RefCell<Option<Life>> = RefCell::new(None);
    let faults = Faults { kill_after: Some(k), seed: k as u64, ..Faults::default() };
    let patience = Duration::from_secs(if harness.server.is_real() { 30 } else { 6 });
    let end = live(&harness, |harness| {
        let life = harness.operator(faults);
        let deadline = Instant::now() + patience;
        while !*life.kill.borrow() && Instant::now() < deadline {
            let done = harness.schedulers.lock().unwrap().open("c") == 0;
            if done && harness.group_status("c-default")["replicas"] == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        died.set(*life.kill.borrow());
        life.kill();
        *next.borrow_mut() = Some(harness.operator(Faults::default()));
    });
    harness.server.close();
    (end, died.get())
}

/// How an end differs from the expected one, in words.
pub fn difference(expected: &Value, end: &Value, what: &str) -> Option<String> {
    merge_diff(expected, end).map(|difference| format!("{what}: {difference}"))
}
