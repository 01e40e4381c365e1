//! The state machine's behaviour, one statement a test.

use dasklet_core::{DeathCause, TaskId};

use super::{
    Members, Output, Source, SubmitError, ToWorker,
    testing::{TestState, done, failed, task},
};

#[test]
fn a_task_runs_and_its_client_hears_of_it() {
    let mut s = TestState::new();
    s.submit(vec![task()]);
    assert!(s.assigned().is_empty());
    let w = s.worker("a", 1);
    let runs = s.assigned();
    assert_eq!(runs.len(), 1);
    s.finish(w, runs[0].1, 8);
    assert_eq!(done(&s.news()), [(0, 0)]);
    s.release(0);
    assert_eq!(s.orders(), [(w, ToWorker::Release(runs[0].2))]);
    assert_eq!(s.state.specs.live(), 0);
}

#[test]
fn an_array_runs_member_by_member_and_is_forgotten() {
    let mut s = TestState::new();
    let w = s.worker("a", 4);
    let ids = s.submit(vec![task().array(1000)]);
    assert_eq!(s.run_all().len(), 1000);
    assert_eq!(done(&s.news()).len(), 1000);
    s.release(0);
    assert_eq!(s.orders(), [(w, ToWorker::Forget(ids[0]))]);
    assert_eq!(s.state.counters().bytes_stored, 0);
}

#[test]
fn consumers_run_after_their_sources_and_inputs_are_released_when_read() {
    let mut s = TestState::new();
    s.worker("a", 2);
    s.submit(vec![task().unwanted(), task().unwanted(), task().reads(0).reads(1)]);
    let order = s.run_all();
    assert_eq!(order.len(), 3);
    assert_eq!(order[2].spec.0, 2);
    assert_eq!(done(&s.news()), [(2, 0)]);
    let released = s.orders().into_iter().filter(|(_, o)| matches!(o, ToWorker::Release(_)));
    assert_eq!(released.count(), 2);
    // Their descriptions stay: the result could be lost.
    assert_eq!(s.state.specs.live(), 3);
    s.release(2);
    assert_eq!(s.state.specs.live(), 0);
}

#[test]
fn a_shuffle_is_two_edges() {
    let mut s = TestState::new();
    s.worker("a", 2);
    s.submit(vec![
        task().array(30).outputs(20).unwanted(),
        task().array(20).depends(Source::Local(0), Members::All, Output::MyIndex),
    ]);
    assert_eq!(s.run_all().len(), 50);
    assert_eq!(done(&s.news()).len(), 20);
    s.release(1);
    assert_eq!(s.state.specs.live(), 0);
}

#[test]
fn same_index_members_do_not_wait_for_the_whole_array() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![
        task().array(3).unwanted(),
        task().array(3).reads_members(0, Members::SameIndex).options(|o| o.priority = 1),
    ]);
    let runs = s.assigned();
    let first = runs[0];
    s.finish(w, first.1, 8);
    for (worker, run, _) in runs.into_iter().skip(1) {
        s.finish(worker, run, 8);
    }
    let order = s.run_all();
    assert!(order.contains(&TaskId::new(dasklet_core::SpecId(1), 0)));
    s.run_all();
    assert_eq!(done(&s.news()).len(), 3);
}

#[test]
fn a_drain_moves_sole_copies_and_gives_unstarted_tasks_back() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task(), task(), task()]);
    let runs = s.assigned();
    s.finish(a, runs[0].1, 100);
    s.assigned();
    let b = s.worker("b", 1);
    s.orders();
    let member = dasklet_core::demand::MemberRef { name: "a".into(), instance: None };
    s.state.drain(s.now, &member, None).unwrap();
    s.schedule();
    let orders = s.orders();
    assert!(orders.contains(&(a, ToWorker::Drain(None))));
    assert!(orders.contains(&(b, ToWorker::Replicate(runs[0].2, a))), "{orders:?}");
    for (worker, order) in orders {
        if let ToWorker::GiveBack(run) = order {
            assert_eq!(worker, a);
            s.state.run_returned(s.now, a, run);
        }
    }
    s.state.copy_held(s.now, b, runs[0].2, 100);
    s.schedule();
    assert_eq!(s.state.members(s.now)[0].state, dasklet_core::demand::MemberState::Drained);
    s.run_all();
    s.lose(a, DeathCause::Drained);
    assert_eq!(s.state.counters().recomputed, 0);
}

#[test]
fn the_only_holder_of_wanted_data_is_not_drained() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task()]);
    s.run_all();
    s.state.worker_leaving(s.now, a);
    s.schedule();
    assert!(!s.orders().contains(&(a, ToWorker::Shutdown)));
    s.release(0);
    assert!(s.orders().contains(&(a, ToWorker::Shutdown)));
}

#[test]
fn submissions_that_cannot_be_accepted_change_nothing() {
    let mut s = TestState::new();
    s.submit(vec![task().key("a").array(3).outputs(2)]);
    for (tasks, wrong) in [
        (vec![task().key("x").reads(7)], "not known"),
        (vec![task().reads_members(0, Members::One(3))], "has only 3 members"),
        (vec![task().depends(Source::Local(0), Members::All, Output::Fixed(2))], "only 2 outputs"),
        (vec![task().key("a")], "in use"),
        (vec![task().key("x"), task().key("x")], "in use"),
        (vec![task().key("x").reads(2), task().key("y").reads(1)], "'y' -> 'x'"),
        (vec![task().reads(1)], "circle"),
        (vec![task().array(0)], "without members"),
    ] {
        let error = s.try_submit(tasks).unwrap_err();
        assert!(error.to_string().contains(wrong), "{error} does not say {wrong}");
        assert_eq!(s.state.specs.live(), 1);
        s.state.check_invariants();
    }
    let error = s.state.submit(s.now, s.session, 0, 9, Vec::new(), Vec::new()).unwrap_err();
    assert_eq!(error, SubmitError::OutOfOrder { expected: 1, got: 9 });
}

#[test]
fn cancelled_runs_are_stopped_and_what_they_leave_is_dropped() {
    let mut s = TestState::new();
    let w = s.worker("a", 1);
    s.submit(vec![task(), task().reads(0)]);
    let (_, run, id) = s.assigned()[0];
    s.cancel(0);
    assert_eq!(failed(&s.news()).len(), 2);
    assert_eq!(s.orders(), [(w, ToWorker::Cancel(run))]);
    s.finish(w, run, 8);
    assert_eq!(s.orders(), [(w, ToWorker::Release(id))]);
    let before = s.state.counters().stale;
    s.finish(w, run, 8);
    assert_eq!(s.state.counters().stale, before + 1);
}

#[test]
fn jobs_share_by_weight() {
    let mut s = TestState::new();
    s.state.open_job(s.now, s.session, 1, "heavy", 3.0).unwrap();
    s.submit(vec![task().array(400)]);
    let tasks = vec![task().array(400).0];
    s.state.submit(s.now, s.session, 1, 1, vec![Default::default()], tasks).unwrap();
    s.worker("a", 1);
    let mut served = [0; 2];
    while served[0] + served[1] < 200 {
        for (w, run, id) in s.assigned() {
            served[id.spec.index()] += 1;
            s.finish(w, run, 8);
        }
    }
    assert!((2.0..4.5).contains(&(served[1] as f64 / served[0] as f64)), "{served:?}");
}

#[test]
fn waiting_tasks_are_asked_back_for_an_idle_worker() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task(), task()]);
    assert_eq!(s.assigned().len(), 2);
    let b = s.worker("b", 1);
    let orders = s.orders();
    let [(from, ToWorker::GiveBack(run))] = orders[..] else { panic!("{orders:?}") };
    assert_eq!(from, a);
    s.state.run_returned(s.now, a, run);
    s.schedule();
    assert_eq!(s.assigned()[0].0, b);
}

#[test]
fn demand_counts_shapes_that_would_get_work() {
    use dasklet_core::demand::{DemandRequest, Shape};
    let mut s = TestState::new();
    s.submit(vec![task().array(500)]);
    let shape = |cpu| Shape {
        group: "g".into(),
        resources: dasklet_core::Resources::default().with("cpu", cpu),
        most: 6,
    };
    let request = DemandRequest { shapes: vec![shape(1000), shape(500)], ..Default::default() };
    let demand = s.state.demand(s.now, &request);
    assert_eq!(demand.trials.iter().map(|t| t.useful).collect::<Vec<_>>(), [6, 0]);
    assert_eq!(demand.classes[0].ready, 500);
    assert!(demand.classes[0].blocked.is_some());
    assert_eq!(demand.idle_seconds, None);
    s.cancel(0);
    s.release(0);
    let demand = s.state.demand(s.now, &request);
    assert_eq!(demand.trials[0].useful, 0);
    assert!(demand.idle_seconds.is_some());
}
