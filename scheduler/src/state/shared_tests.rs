//! What tasks share goes with the last of them.

use dasklet_core::{DeathCause, Resources};

use super::{
    interned::IDLE_SETS,
    testing::{TaskBuilder, TestState, task},
};

/// A task that has nothing in common with those of other numbers.
fn peculiar(number: u64) -> TaskBuilder {
    task().options(|o| {
        o.priority = number as i32;
        o.resources = Resources::default().with("cpu", 1 + number).with(&format!("r{number}"), 1);
        o.workers = vec![format!("w{number}"), "a".to_owned()];
    })
}

/// A worker that could run any of them.
fn join(s: &mut TestState) -> dasklet_core::WorkerId {
    let mut worker = super::testing::worker("a", 1000);
    for number in 0..300 {
        worker.resources.set(&format!("r{number}"), 1);
    }
    let (id, _) = s.state.add_worker(s.now, worker, Vec::new());
    s.schedule();
    id
}

/// What is left of what was shared.
fn assert_little_is_left(s: &TestState) {
    let interned = &s.state.interned;
    assert!(interned.sets() <= IDLE_SETS, "{} sets of options", interned.sets());
    assert!(interned.classes.len() <= 2 * IDLE_SETS, "{} classes", interned.classes.len());
    assert_eq!(s.state.queues.iter().count(), 0, "queues");
}

#[test]
fn options_that_no_task_has_any_more_are_forgotten() {
    let mut s = TestState::new();
    let a = join(&mut s);
    for number in 0..300 {
        s.submit(vec![peculiar(number)]);
        assert_eq!(s.run_all().len(), 1);
        s.release(number);
    }
    assert_little_is_left(&s);
    assert_eq!(s.state.progress(s.session, 0).unwrap().done, 300, "ended tasks still count");
    s.lose(a, DeathCause::Drained);
    assert!(s.state.interned.names() <= IDLE_SETS + 1, "{} names", s.state.interned.names());
}

#[test]
fn a_class_stays_as_long_as_a_run_of_it_is_on_a_worker() {
    let mut s = TestState::new();
    let a = join(&mut s);
    let mut runs = Vec::new();
    for number in 0..200 {
        s.submit(vec![peculiar(number)]);
        runs.extend(s.assigned());
        s.cancel(number);
        s.release(number);
    }
    assert_eq!(runs.len(), 200);
    assert!(s.state.interned.classes.len() >= 200);
    for (worker, run, _) in runs.drain(..100) {
        s.finish(worker, run, 8);
    }
    s.lose(a, DeathCause::OomKilled);
    for number in 200..300 {
        s.submit(vec![peculiar(number)]);
        s.cancel(number);
        s.release(number);
    }
    assert!(s.state.interned.sets() <= IDLE_SETS);
    assert_eq!(s.state.interned.classes.len(), 200, "numbers are used again");
}

#[test]
fn only_classes_with_ready_tasks_are_looked_at() {
    let mut s = TestState::new();
    for number in 0..100 {
        s.submit(vec![peculiar(number), task().reads(2 * number)]);
    }
    assert_eq!(s.state.interned.ready.iter().count(), 100);
    join(&mut s);
    assert_eq!(s.run_all().len(), 200);
    assert_eq!(s.state.interned.ready.iter().count(), 0);
}

#[test]
fn lists_of_workers_do_not_grow_with_those_that_have_gone() {
    let mut s = TestState::new();
    s.submit(vec![task().options(|o| o.workers = vec!["nobody".to_owned()]), task()]);
    for number in 0..1000 {
        let w = s.worker(&format!("w{number}"), 1);
        for (worker, run, _) in s.assigned() {
            s.state.run_returned(s.now, worker, run);
        }
        s.lose(w, DeathCause::Drained);
    }
    for class in &s.state.interned.classes {
        assert!(class.slots.len() + class.prefill.len() + class.surplus.len() < 500);
    }
}
