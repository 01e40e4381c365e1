//! What happens when runs fail, and when workers go with runs and outputs.

use dasklet_core::{DeathCause, ErrorClass, TaskId};

use super::{
    AttemptEnd, ToWorker,
    testing::{TestState, done, failed, task},
};

#[test]
fn a_run_on_a_dead_worker_is_tried_elsewhere_until_the_limit() {
    let mut s = TestState::new();
    s.submit(vec![task().key("killer")]);
    for attempt in 1..=3 {
        let w = s.worker(&format!("w{attempt}"), 1);
        let runs = s.assigned();
        assert_eq!(runs.len(), 1, "attempt {attempt}");
        let view = s.state.assignment(runs[0].1).unwrap();
        assert_eq!((view.attempt, view.announce_start), (attempt, attempt > 1));
        s.start(w, runs[0].1);
        s.lose(w, DeathCause::OomKilled);
    }
    assert_eq!(failed(&s.news()), [(0, 0)]);
    let failure = s.state.failure(s.session, 0, 0).unwrap();
    assert_eq!(failure.class, ErrorClass::Crashed);
    assert_eq!(failure.attempts.len(), 3);
    assert!(failure.message.contains("OOMKilled"), "{}", failure.message);
}

#[test]
fn planned_removals_never_count() {
    let mut s = TestState::new();
    s.submit(vec![task()]);
    for attempt in 0..10 {
        let w = s.worker(&format!("w{attempt}"), 1);
        let runs = s.assigned();
        s.start(w, runs[0].1);
        s.lose(w, DeathCause::Preempted);
    }
    assert!(failed(&s.news()).is_empty());
    s.worker("last", 1);
    s.run_all();
    assert_eq!(done(&s.news()), [(0, 0)]);
}

#[test]
fn the_verdict_waits_for_a_better_cause() {
    let mut s = TestState::new();
    s.submit(vec![task().options(|o| o.max_deaths = 1)]);
    let w = s.worker("a", 1);
    let runs = s.assigned();
    s.start(w, runs[0].1);
    s.lose(w, DeathCause::ConnectionLost);
    s.worker("b", 1);
    assert!(s.assigned().is_empty());
    let member = dasklet_core::demand::MemberRef { name: "a".into(), instance: Some("a-1".into()) };
    assert!(s.state.lost(s.now, &member, DeathCause::Evicted));
    s.schedule();
    s.run_all();
    assert_eq!(done(&s.news()), [(0, 0)]);
}

#[test]
fn without_a_better_cause_the_verdict_stands() {
    let mut s = TestState::new();
    s.submit(vec![task().options(|o| o.max_deaths = 1)]);
    let w = s.worker("a", 1);
    let runs = s.assigned();
    s.start(w, runs[0].1);
    s.lose(w, DeathCause::ConnectionLost);
    s.pass(5_000_000);
    assert_eq!(failed(&s.news()), [(0, 0)]);
}

#[test]
fn errors_are_tried_again_within_the_retries() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task().options(|o| {
        o.retries = 1;
        o.retry_delay_micros = 100;
    })]);
    let run = s.assigned()[0].1;
    s.error(w, run, ErrorClass::Fatal);
    assert!(s.assigned().is_empty());
    s.pass(100);
    let run = s.assigned()[0].1;
    s.error(w, run, ErrorClass::Fatal);
    assert_eq!(failed(&s.news()), [(0, 0)]);
    let failure = s.state.failure(s.session, 0, 0).unwrap();
    assert!(matches!(failure.attempts[1].end, AttemptEnd::Error(ErrorClass::Fatal, _)));
}

#[test]
fn dependents_of_a_failed_task_fail_and_name_it() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task().key("bad"), task().array(2).reads(0), task().reads(1)]);
    let run = s.assigned()[0].1;
    s.error(w, run, ErrorClass::Fatal);
    assert_eq!(failed(&s.news()).len(), 4);
    let failure = s.state.failure(s.session, 2, 0).unwrap();
    assert_eq!(failure.origin.as_deref(), Some("bad"));
    // And so do those that come later.
    s.submit(vec![task().reads(2)]);
    assert_eq!(failed(&s.news()), [(3, 0)]);
}

#[test]
fn what_must_not_run_twice_fails_when_its_worker_dies() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task().options(|o| o.idempotent = false)]);
    s.lose(w, DeathCause::NodeLost);
    assert_eq!(failed(&s.news()), [(0, 0)]);
}

#[test]
fn lost_outputs_are_made_again_as_far_back_as_needed() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task().unwanted(), task().unwanted().reads(0), task().reads(1)]);
    assert_eq!(s.run_all().len(), 3);
    s.news();
    s.lose(a, DeathCause::OomKilled);
    assert!(s.assigned().is_empty());
    s.worker("b", 1);
    assert_eq!(s.run_all().len(), 3);
    assert_eq!(done(&s.news()), [(2, 0)]);
    assert_eq!(s.state.counters().recomputed, 3);
}

#[test]
fn consumers_of_a_varying_task_run_again_with_it() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![
        task().key("varying").unwanted().options(|o| o.deterministic = false),
        task().reads(0).options(|o| o.workers = vec!["a".into()]),
        task().reads(0).options(|o| o.workers = vec!["b".into()]),
    ]);
    assert_eq!(s.run_all().len(), 2);
    let b = s.worker("b", 1);
    let runs = s.assigned();
    assert_eq!(runs.len(), 1);
    s.lose(a, DeathCause::OomKilled);
    // The source is lost while b reads it: it runs again on b, and the reader with it.
    s.worker("a", 1);
    let orders = s.orders();
    assert!(orders.contains(&(b, ToWorker::Cancel(runs[0].1))), "{orders:?}");
    let order = s.run_all();
    assert_eq!(order.len(), 3, "the source and both readers");
    s.error(b, runs[0].1, ErrorClass::Cancelled);
    assert!(s.run_all().is_empty());
}

#[test]
fn put_values_wait_for_their_worker_and_then_fail_by_name() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    let id = s.state.put(s.now, s.session, 0, "value".into(), 8, 1).unwrap();
    s.next = 1;
    s.submit(vec![task().reads(0)]);
    s.state.copy_held(s.now, a, TaskId::new(id, 0), 8);
    s.schedule();
    s.lose(a, DeathCause::ConnectionLost);
    s.worker("b", 1);
    assert!(s.assigned().is_empty());
    s.pass(10_000_000);
    assert_eq!(failed(&s.news()).len(), 2);
    let failure = s.state.failure(s.session, 1, 0).unwrap();
    assert!(failure.message.contains("'value'") && failure.message.contains("'a'"), "{failure:?}");
}

#[test]
fn a_returning_worker_brings_its_data_back() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task()]);
    let id = s.run_all()[0];
    s.lose(a, DeathCause::ConnectionLost);
    let held = vec![super::Held { task: id, nbytes: 8 }];
    let (_, keep) = s.state.add_worker(s.now, super::testing::worker("a", 1), held);
    s.schedule();
    assert_eq!(keep, [id]);
    assert!(s.assigned().is_empty());
}

#[test]
fn only_what_makes_up_for_a_lost_worker_is_a_recovery() {
    let recovers = |s: &TestState, run| s.state.assignment(run).unwrap().recovers;
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task().options(|o| o.retries = 1), task().options(|o| o.idempotent = false)]);
    let run = s.assigned()[0].1;
    s.error(a, run, ErrorClass::Retryable);
    let run = s.assigned()[0].1;
    assert!(!recovers(&s, run), "an ordinary retry");
    s.lose(a, DeathCause::OomKilled);
    assert_eq!(s.state.counters().interrupted, 1);
    let b = s.worker("b", 1);
    let (_, run, source) = s.assigned()[0];
    assert!(recovers(&s, run), "a run that died with its worker");
    s.finish(b, run, 8);
    let (_, run, _) = s.assigned()[0];
    assert!(!recovers(&s, run));
    s.lose(b, DeathCause::OomKilled);
    assert_eq!(s.state.counters().interrupted, 1, "what is not idempotent is not made up for");
    s.worker("c", 1);
    let (_, run, again) = s.assigned()[0];
    assert_eq!((again, recovers(&s, run)), (source, true), "outputs that were lost");
    assert!(s.assigned().is_empty());
}
