//! What is due happens then, and what is not due any more costs nothing.

use dasklet_core::{DeathCause, ErrorClass, TaskId, WorkerId, demand::MemberRef};

use super::{
    Held,
    testing::{TestState, task, worker},
};

const SECOND: u64 = 1_000_000;

fn timers(s: &TestState) -> usize {
    s.state.timers.iter().count()
}

#[test]
fn timers_of_runs_that_have_ended_do_not_pile_up() {
    let mut s = TestState::new();
    let w = s.worker("a", 8);
    for round in 0..40 {
        s.submit(vec![task().array(500).options(|o| o.timeout_micros = Some(86_400 * SECOND))]);
        loop {
            let runs = s.assigned();
            if runs.is_empty() {
                break;
            }
            for (worker, run, _) in runs {
                s.state.run_started(s.now, worker, run);
                s.finish(w, run, 8);
            }
        }
        s.release(round);
    }
    assert!(timers(&s) < 3000, "{} timers for 20,000 runs", timers(&s));
}

#[test]
fn a_session_that_comes_and_goes_keeps_one_timer() {
    let mut s = TestState::new();
    for _ in 0..10_000 {
        s.state.session_disconnected(s.now, s.session);
        s.state.session_resumed(s.now, s.session);
        s.now = s.now.after_micros(10);
    }
    assert!(timers(&s) < 3000, "{} timers", timers(&s));
    s.state.session_disconnected(s.now, s.session);
    s.pass(29 * SECOND);
    assert_eq!(s.state.counters().sessions, 1);
    s.pass(SECOND);
    assert_eq!(s.state.counters().sessions, 0);
}

/// A put value that is held by worker `a` only.
fn put() -> (TestState, WorkerId, TaskId) {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    let id = s.state.put(s.now, s.session, 0, "value".into(), 8, 1).unwrap();
    s.next = 1;
    let task = TaskId::new(id, 0);
    s.state.copy_held(s.now, a, task, 8);
    s.schedule();
    (s, a, task)
}

fn comes_back(s: &mut TestState, task: TaskId) -> WorkerId {
    let held = vec![Held { task, nbytes: 8 }];
    let (a, keep) = s.state.add_worker(s.now, worker("a", 1), held);
    s.schedule();
    assert_eq!(keep, [task]);
    a
}

#[test]
fn a_value_that_is_lost_again_has_its_whole_time_again() {
    let (mut s, a, task) = put();
    s.lose(a, DeathCause::ConnectionLost);
    s.pass(5 * SECOND);
    let a = comes_back(&mut s, task);
    s.pass(3 * SECOND);
    s.lose(a, DeathCause::ConnectionLost);
    s.pass(9 * SECOND);
    assert!(s.state.failure(s.session, 0, 0).is_none(), "nine seconds of ten");
    comes_back(&mut s, task);
    s.pass(60 * SECOND);
    assert!(s.state.failure(s.session, 0, 0).is_none());
}

#[test]
fn whom_a_value_was_lost_with_is_forgotten_with_it() {
    for returns in [false, true] {
        let (mut s, a, task) = put();
        s.lose(a, DeathCause::ConnectionLost);
        assert_eq!(s.state.lost_puts.len(), 1);
        if returns {
            comes_back(&mut s, task);
            assert!(s.state.lost_puts.is_empty());
        }
        s.release(0);
        assert!(s.state.lost_puts.is_empty() && s.state.due.is_empty());
        assert_eq!(s.state.specs.live(), 0);
    }
    // One of two copies is no loss.
    let (mut s, a, task) = put();
    let b = s.worker("b", 1);
    let member = MemberRef { name: "a".to_owned(), instance: None };
    s.state.drain(s.now, &member, None);
    s.schedule();
    s.state.copy_held(s.now, b, task, 8);
    s.schedule();
    s.lose(a, DeathCause::Drained);
    assert!(s.state.lost_puts.is_empty());
}

#[test]
fn a_delayed_attempt_is_not_made_at_the_time_of_an_earlier_one() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task().options(|o| {
        o.retries = 5;
        o.retry_delay_micros = 10 * SECOND;
        o.max_deaths = 1;
    })]);
    let run = s.assigned()[0].1;
    s.error(w, run, ErrorClass::Fatal);
    s.pass(10 * SECOND);
    let run = s.assigned()[0].1;
    s.start(w, run);
    // The verdict waits for the cause, which says that it does not count.
    s.lose(w, DeathCause::ConnectionLost);
    let member = MemberRef { name: "a".to_owned(), instance: None };
    s.pass(SECOND);
    assert!(s.state.lost(s.now, &member, DeathCause::Evicted));
    let w = s.worker("b", 1);
    let run = s.assigned()[0].1;
    s.error(w, run, ErrorClass::Fatal);
    s.pass(5 * SECOND);
    assert!(s.assigned().is_empty(), "five seconds of ten");
    s.pass(5 * SECOND);
    assert_eq!(s.assigned().len(), 1);
}

#[test]
fn a_drain_that_is_asked_for_again_gets_no_more_time() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task()]);
    let run = s.assigned()[0].1;
    s.start(w, run);
    let member = MemberRef { name: "a".to_owned(), instance: None };
    for _ in 0..10 {
        s.state.drain(s.now, &member, Some(10 * SECOND));
        s.pass(SECOND);
    }
    let cancelled = super::ToWorker::Cancel(run);
    assert!(s.orders().contains(&(w, cancelled.clone())), "ten seconds after the first request");

    // Less is less, and more is asked for on purpose.
    s.state.undrain(s.now, &member);
    s.error(w, run, ErrorClass::Cancelled);
    let run = s.assigned()[0].1;
    s.start(w, run);
    s.state.drain(s.now, &member, Some(100 * SECOND));
    s.state.drain(s.now, &member, Some(2 * SECOND));
    s.state.drain(s.now, &member, None);
    s.orders();
    s.pass(2 * SECOND);
    assert!(s.orders().contains(&(w, super::ToWorker::Cancel(run))));
}
