//! Changes of the spec, valid and not, in any order: the end is that of the last valid one.

use std::time::Duration;

use dasklet_operator::template::merge_diff;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    end_state::end_state,
    harness::{Harness, cluster},
    server::Server,
    weather::Faults,
};

/// A name that no container can have.
const REFUSED: &str = "Not A Name";

fn worker(name: &str, replicas: u32) -> Value {
    json!({"replicas": replicas, "spec": {"containers": [{"name": name, "image": "image"}]}})
}

/// Walks on one server, and applies the last valid spec on another.
pub fn ends_where_a_fresh_apply_does(walked: Server, fresh: Server, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let harness = Harness::on(walked);
    let life = harness.operator(Faults { seed, odd_events: 0.2, ..Faults::default() });
    harness.create("daskclusters", cluster("c", worker("one", 2)));
    let mut valid = ("one", 2);
    for _ in 0..8 {
        let name = ["one", "two", REFUSED, "three"][rng.random_range(0..4)];
        let replicas = rng.random_range(0..4);
        let change = json!({"spec": {"worker": worker(name, replicas)}});
        harness.patch("daskclusters", "c", change);
        if name != REFUSED {
            valid = (name, replicas);
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
    }
    let last = worker(valid.0, valid.1);
    harness.patch("daskclusters", "c", json!({"spec": {"worker": last}}));
    let walked = state(&harness, valid);
    life.kill();
    harness.server.close();

    let harness = Harness::on(fresh);
    let life = harness.operator(Faults::default());
    harness.create("daskclusters", cluster("c", worker(valid.0, valid.1)));
    let fresh = state(&harness, valid);
    life.kill();
    harness.server.close();
    assert_eq!(merge_diff(&fresh, &walked), None, "seed {seed}");
}

/// What is left once all is at rest.
fn state(harness: &Harness, (name, replicas): (&str, u32)) -> Value {
    harness.until("the last valid spec holds", |h| {
        let workers = h.workers("c-default");
        workers.len() == replicas as usize
            && workers.iter().all(|w| w["spec"]["containers"][0]["name"] == name)
            && h.group_status("c-default")["readyReplicas"] == replicas
            && h.condition("daskclusters", "c", "Ready")["status"] == "True"
    });
    harness.until_quiet();
    let state = end_state(harness);
    let cluster = &state["daskclusters/c"];
    json!({
        "spec": cluster["spec"],
        "status": cluster["status"],
        "group": state["daskworkergroups/c-default"]["spec"],
        "scheduler": state["deployments/c-scheduler"]["spec"],
        "pods": state["pods/worker c-default"],
    })
}
