//! Faults below the client, against the API server in memory.

use serde_json::json;

use crate::{
    harness::{Harness, cluster},
    scenario::{difference, in_weather, killed_after},
    server::Server,
    walk,
    weather::Faults,
};

#[test]
fn killed_after_every_kth_write() {
    let expected = in_weather(Server::new(), Faults::default());
    let step = std::env::var("DASKLET_KILL_STEP").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let mut reached = 0;
    let mut differences = Vec::new();
    for k in (1..).step_by(step) {
        let (end, died) = killed_after(Server::new(), k);
        differences.extend(difference(&expected, &end, &format!("killed at write {k}")));
        reached = k;
        if !died {
            break;
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert!(reached > 10, "only {reached} writes were tried");
}

#[test]
fn bad_weather() {
    let expected = in_weather(Server::new(), Faults::default());
    for seed in 0..6 {
        let faults = Faults {
            seed,
            failing_writes: 0.15,
            odd_events: 0.3,
            stale_lists: 0.5,
            kill_after: None,
        };
        let end = in_weather(Server::new(), faults);
        assert_eq!(difference(&expected, &end, &format!("seed {seed}")), None);
    }
}

#[test]
fn random_walks_end_where_a_fresh_apply_does() {
    for seed in 0..3 {
        walk::ends_where_a_fresh_apply_does(Server::new(), Server::new(), seed);
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
