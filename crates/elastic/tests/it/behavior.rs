//! Windows and rate limits give the sizes that Kubernetes' autoscaler gives.

use dasklet_elastic::{
    Behavior, GroupHistory,
    behavior::{Limit, Question, decide},
    policy::{PolicyKind, ScalingPolicy, SelectPolicy},
};

use crate::support::SECOND;

/// Decides at each of these times what is wanted, and gives the sizes.
fn sizes(behavior: &Behavior, mut current: u32, wanted: &[(u64, u32)]) -> Vec<u32> {
    let mut history = GroupHistory::default();
    wanted
        .iter()
        .map(|(seconds, wanted)| {
            let now_micros = 1_000 * SECOND + seconds * SECOND;
            let question = Question { current, wanted: *wanted, min: 0, max: 1_000, now_micros };
            current = decide(behavior, question, &mut history).desired;
            current
        })
        .collect()
}

fn every(step: u64, count: u64, wanted: u32) -> Vec<(u64, u32)> {
    (0..count).map(|at| (at * step, wanted)).collect()
}

#[test]
fn growth_by_the_defaults_of_kubernetes_doubles_every_15_seconds() {
    let behavior = Behavior::kubernetes();
    assert_eq!(sizes(&behavior, 1, &every(15, 6, 100)), [5, 10, 20, 40, 80, 100]);
    // Within a period nothing is added to what the period already got.
    assert_eq!(sizes(&behavior, 1, &every(5, 5, 100)), [5, 5, 5, 10, 10]);
}

#[test]
fn the_example_of_the_kubernetes_documentation_shrinks_as_it_says() {
    let mut behavior = Behavior::kubernetes();
    behavior.scale_down.stabilization_window_seconds = 0;
    behavior.scale_down.policies = vec![
        ScalingPolicy { kind: PolicyKind::Pods, value: 4, period_seconds: 60 },
        ScalingPolicy { kind: PolicyKind::Percent, value: 10, period_seconds: 60 },
    ];
    assert_eq!(sizes(&behavior, 80, &every(60, 4, 10)), [72, 64, 57, 51]);
    assert_eq!(sizes(&behavior, 40, &every(60, 3, 10)), [36, 32, 28]);
    behavior.scale_down.select_policy = SelectPolicy::Min;
    assert_eq!(sizes(&behavior, 80, &every(60, 2, 10)), [76, 72]);
    behavior.scale_down.select_policy = SelectPolicy::Disabled;
    assert_eq!(sizes(&behavior, 80, &every(60, 2, 10)), [80, 80]);
}

#[test]
fn a_window_takes_the_highest_of_the_recent_recommendations_downwards() {
    let mut behavior = Behavior::default();
    behavior.scale_down.stabilization_window_seconds = 30;
    let wanted = [(0, 10), (10, 4), (20, 6), (29, 2), (30, 2), (49, 2), (50, 2), (59, 2), (60, 2)];
    assert_eq!(sizes(&behavior, 10, &wanted), [10, 10, 10, 10, 6, 6, 2, 2, 2]);
}

#[test]
fn a_window_takes_the_lowest_of_the_recent_recommendations_upwards() {
    let mut behavior = Behavior::default();
    behavior.scale_up.stabilization_window_seconds = 20;
    let wanted = [(0, 2), (5, 8), (19, 9), (20, 9), (25, 9), (39, 7)];
    assert_eq!(sizes(&behavior, 2, &wanted), [2, 2, 2, 8, 9, 9]);
}

#[test]
fn differences_within_the_tolerance_are_left() {
    let behavior = Behavior::kubernetes();
    for (current, wanted, desired) in [(100, 109, 100), (100, 112, 112), (10, 11, 10), (0, 1, 1)] {
        assert_eq!(sizes(&behavior, current, &[(0, wanted)]), [desired], "{current} {wanted}");
    }
}

#[test]
fn our_defaults_grow_at_once_and_shrink_after_half_a_minute() {
    let behavior = Behavior::default();
    assert_eq!(sizes(&behavior, 0, &[(0, 100)]), [100]);
    assert_eq!(sizes(&behavior, 100, &[(0, 100), (1, 0), (29, 0), (31, 0)]), [100, 100, 100, 0]);
}

#[test]
fn what_limits_a_decision_is_said() {
    let behavior = Behavior::kubernetes();
    let mut history = GroupHistory::default();
    let question = Question { current: 5, wanted: 50, min: 2, max: 8, now_micros: SECOND };
    let outcome = decide(&behavior, question, &mut history);
    assert_eq!((outcome.desired, outcome.limit), (8, Some(Limit::Maximum)));
    let outcome = decide(&behavior, Question { current: 9, ..question }, &mut history);
    assert_eq!((outcome.desired, outcome.limit), (8, Some(Limit::Maximum)));
    let question = Question { current: 8, wanted: 0, ..question };
    let outcome = decide(&behavior, question, &mut history);
    assert_eq!((outcome.desired, outcome.limit), (8, Some(Limit::DownWindow)));
    assert_eq!(outcome.recheck_micros, Some(SECOND + 300 * SECOND));
}
