//! Closed loops: the planner and the queueing model together.

use dasklet_elastic::{
    GroupPolicy,
    simulate::{Timeline, Trace, TraceEvent, simulate},
};
use proptest::prelude::*;

use crate::support::scaled;

fn replay(text: &str, policy: &GroupPolicy) -> Timeline {
    match Trace::parse(text) {
        Ok(trace) => simulate(&trace, policy),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_burst_grows_the_group_to_its_maximum_and_lets_it_go() {
    let timeline = replay(
        r#"{"time": 0, "startSeconds": 1}
           {"time": 1, "tasks": 500, "meanSeconds": 0.2}"#,
        &scaled(0, 6),
    );
    let summary = &timeline.summary;
    assert_eq!((summary.tasks, summary.unfinished, summary.peak), (500, 0, 6));
    assert_eq!((summary.scale_ups, summary.created), (1, 6));
    let last = timeline.rows.last().unwrap();
    assert_eq!((last.desired, last.serving + last.draining), (0, 0));
    assert!(timeline.to_string().contains("500 tasks ended"), "{timeline}");
}

#[test]
fn wanted_results_keep_one_member_until_they_are_fetched() {
    let timeline = replay(
        r#"{"time": 0, "tasks": 50, "bytesWanted": 1000}
           {"time": 200}
           {"time": 300, "bytesWanted": 0}"#,
        &scaled(0, 6),
    );
    let at = |time: f64| timeline.rows.iter().rfind(|row| row.time < time).unwrap();
    assert_eq!((at(299.0).desired, at(1e9).desired), (1, 0));
}

#[test]
fn tasks_of_a_killed_member_run_again_on_its_replacement() {
    let timeline = replay(
        r#"{"time": 0, "tasks": 40, "meanSeconds": 5}
           {"time": 20, "kill": 2}"#,
        &scaled(0, 4),
    );
    let summary = &timeline.summary;
    assert_eq!((summary.tasks, summary.rerun, summary.created), (40, 2, 6));
}

#[test]
fn a_death_at_any_moment_loses_no_task() {
    for quarter in 0..60 {
        let kill = f64::from(quarter) / 4.0;
        let text = format!(
            "{{\"time\": 0, \"tasks\": 100, \"meanSeconds\": 0.5, \"slots\": 2}}\n\
             {{\"time\": {kill}, \"kill\": 2}}"
        );
        let summary = replay(&text, &scaled(0, 4)).summary;
        assert_eq!((summary.tasks, summary.unfinished), (100, 0), "killed at {kill}");
    }
}

#[test]
fn starts_that_fail_are_tried_less_and_less_often() {
    let timeline = replay(
        r#"{"time": 0, "startSeconds": 1, "startsFail": true}
           {"time": 0, "tasks": 10}
           {"time": 120, "startsFail": false}"#,
        &scaled(0, 2),
    );
    let summary = &timeline.summary;
    assert_eq!(summary.tasks, 10);
    // Waits of 1, 2, 4 ... 64 s: seven rounds of two within the two minutes.
    assert!((10..=16).contains(&summary.failed_starts), "{timeline}");
}

#[test]
fn a_scheduler_that_falls_silent_shrinks_nothing() {
    let timeline = replay(
        r#"{"time": 0, "tasks": 30}
           {"time": 10, "metrics": false}
           {"time": 500, "metrics": true}"#,
        &scaled(0, 6),
    );
    let silent = |time: f64| (10.0..500.0).contains(&time);
    let desired: Vec<u32> =
        timeline.rows.iter().filter(|row| silent(row.time)).map(|row| row.desired).collect();
    assert!(desired.iter().all(|size| *size == 6), "{timeline}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn constant_load_does_not_make_the_size_flap(
        per_second in 1..12u64, tenths in 2..30u64, slots in 1..4u32, start in 0..8u64
    ) {
        let mean = tenths as f64 / 10.0;
        let mut events = vec![TraceEvent {
            start_seconds: Some(start as f64),
            slots: Some(slots),
            mean_seconds: Some(mean),
            ..TraceEvent::default()
        }];
        events.extend((0..300 * per_second).map(|at| TraceEvent {
            time: at as f64 / per_second as f64,
            tasks: Some(1),
            ..TraceEvent::default()
        }));
        let timeline = simulate(&Trace { events }, &scaled(0, 60));
        prop_assert_eq!(timeline.summary.unfinished, 0);
        // Settled after two minutes: until the load ends the size moves by one step at most.
        let settled: Vec<u32> = timeline
            .rows
            .iter()
            .filter(|row| (120.0..299.0).contains(&row.time))
            .map(|row| row.desired)
            .collect();
        let changes = settled.windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert!(changes <= 2, "{} changes\n{}", changes, timeline);
    }
}

#[test]
fn the_example_of_a_trace_is_replayed() {
    let trace = Trace::parse(include_str!("../../../../examples/simulate/burst.jsonl")).unwrap();
    let timeline = simulate(&trace, &scaled(0, 8));
    let summary = &timeline.summary;
    assert_eq!((summary.tasks, summary.unfinished), (1035, 0));
    assert!(summary.peak <= 8 && summary.failed_starts > 0 && summary.rerun > 0, "{timeline}");
}
