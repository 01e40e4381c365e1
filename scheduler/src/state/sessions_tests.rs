//! Sessions and jobs cost what is alive of them.

use super::{
    LocalRange, SubmitError, TaskOptions,
    testing::{TestState, failed, task},
};

#[test]
fn a_long_lived_first_task_keeps_no_later_numbers() {
    let mut s = TestState::new();
    s.worker("a", 8);
    s.submit(vec![task().options(|o| o.workers = vec!["nobody".to_owned()])]);
    for round in 0..20 {
        s.submit((0..500).map(|_| task()).collect());
        assert_eq!(s.run_all().len(), 500);
        let range = LocalRange { local: 1 + 500 * round, start: 0, end: 0, count: 500 };
        s.state.release(s.now, s.session, range);
        s.schedule();
    }
    assert_eq!(s.state.sessions[&s.session].locals.pages(), 1);
    // A range of all numbers there are is no walk over them.
    let all = LocalRange { local: 0, start: 0, end: 0, count: u64::MAX };
    assert_eq!(s.state.parts_in(s.session, all).len(), 1);
}

#[test]
fn a_job_is_cancelled_and_closed_without_a_look_at_others() {
    let mut s = TestState::new();
    s.state.open_job(s.now, s.session, 1, "other", 1.0).unwrap();
    s.submit((0..3).map(|_| task()).collect());
    let other = (0..2).map(|_| task().unwanted().0).collect();
    s.state.submit(s.now, s.session, 1, 3, vec![TaskOptions::default()], other).unwrap();
    s.next = 5;
    s.schedule();
    let job = |s: &TestState, number| {
        let job = s.state.job_of(s.session, number).unwrap();
        s.state.specs_of_job(job).iter().map(|spec| spec.0).collect::<Vec<_>>()
    };
    assert_eq!((job(&s, 0), job(&s, 1)), (vec![2, 1, 0], vec![4, 3]));
    s.state.cancel_job(s.now, s.session, 0);
    s.schedule();
    assert_eq!(failed(&s.news()).len(), 3);
    s.release(1);
    assert_eq!((job(&s, 0), job(&s, 1)), (vec![2, 0], vec![4, 3]));
    s.state.close_job(s.session, 1);
    s.schedule();
    assert!(job(&s, 1).is_empty(), "nobody can need them any more");
    s.submit(vec![task()]);
    assert_eq!(job(&s, 0), [5, 2, 0]);
    s.state.close_session(s.now, s.session);
    s.schedule();
    assert_eq!(s.state.specs.live(), 0);
    assert!(s.state.jobs().is_empty());
}

#[test]
fn jobs_that_are_over_make_room_for_others() {
    let mut s = TestState::new();
    s.state.config.max_jobs = 3;
    s.submit(vec![task()]);
    for number in 1..3 {
        s.state.open_job(s.now, s.session, number, "job", 1.0).unwrap();
    }
    let full = s.state.open_job(s.now, s.session, 3, "job", 1.0);
    assert!(matches!(full, Err(SubmitError::Limit(_))), "{full:?}");
    for number in 0..3 {
        s.state.close_job(s.session, number);
    }
    for number in 3..5 {
        s.state.open_job(s.now, s.session, number, "job", 1.0).unwrap();
    }
    // The first has a task.
    assert_eq!(s.state.jobs().len(), 3);
    assert!(s.state.job_of(s.session, 0).is_some() && s.state.job_of(s.session, 1).is_none());
}
