//! Copies, caches, and what their loss leads to.

use dasklet_core::DeathCause;

use super::{
    Members, Output, Source, SubmitError, ToSession, ToWorker,
    testing::{TestState, task},
};

const LARGE: u64 = 1 << 20;

/// A task's output on `a`, and a worker `b` that reads it and keeps a copy.
fn cached() -> (TestState, [dasklet_core::WorkerId; 2], dasklet_core::TaskId) {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task()]);
    let (_, run, source) = s.assigned()[0];
    s.finish(a, run, LARGE);
    let b = s.worker("b", 1);
    s.state.copy_cached(s.now, b, source);
    s.schedule();
    s.orders();
    s.news();
    (s, [a, b], source)
}

#[test]
fn a_cache_is_told_when_its_output_goes() {
    let (mut s, [a, b], source) = cached();
    s.release(0);
    let mut orders = s.orders();
    orders.sort_by_key(|(worker, _)| *worker);
    assert_eq!(orders, [(a, ToWorker::Release(source)), (b, ToWorker::Release(source))]);
}

#[test]
fn a_cache_attracts_readers_and_is_no_holder() {
    let (mut s, [a, b], source) = cached();
    assert_eq!(s.state.task_holders(source), [a]);
    s.submit(vec![task().options(|o| o.workers = vec!["a".to_owned()])]);
    s.submit(vec![task().reads(0)]);
    let runs = s.assigned();
    assert_eq!(runs.iter().map(|(worker, ..)| *worker).collect::<Vec<_>>(), [a, b]);
    // The holder dies: the cache does not save the output.
    s.lose(a, DeathCause::OomKilled);
    assert!(s.state.task_holders(source).is_empty());
    assert_eq!(s.orders(), [(b, ToWorker::Release(source))]);
}

#[test]
fn a_drain_moves_what_is_only_cached_elsewhere() {
    let (mut s, [a, b], source) = cached();
    let member = dasklet_core::demand::MemberRef { name: "a".to_owned(), instance: None };
    s.state.drain(s.now, &member, None);
    s.schedule();
    let orders = s.orders();
    assert!(orders.contains(&(b, ToWorker::Replicate(source, a))), "{orders:?}");
    s.state.copy_held(s.now, b, source, LARGE);
    s.schedule();
    assert_eq!(s.state.task_holders(source), [a, b]);
    s.release(0);
    assert_eq!(s.state.counters().bytes_stored, 0);
}

#[test]
fn a_dropped_cache_is_forgotten_and_a_dead_worker_takes_its_caches_along() {
    let (mut s, [_, b], source) = cached();
    s.state.copy_dropped(s.now, b, source);
    s.schedule();
    s.state.copy_cached(s.now, b, source);
    s.schedule();
    s.lose(b, DeathCause::ConnectionLost);
    s.release(0);
    assert_eq!(s.orders().len(), 1);
}

#[test]
fn what_varies_is_not_cached() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task().options(|o| o.deterministic = false)]);
    let (_, run, source) = s.assigned()[0];
    s.finish(a, run, LARGE);
    let b = s.worker("b", 1);
    s.state.copy_cached(s.now, b, source);
    s.schedule();
    assert_eq!(s.orders(), [(b, ToWorker::Release(source))]);
}

#[test]
fn an_output_that_its_holder_does_not_have_is_made_again() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task()]);
    let (_, run, source) = s.assigned()[0];
    s.finish(a, run, 8);
    s.news();
    s.state.refetch(s.now, s.session, 0, 0, a, true);
    s.schedule();
    assert_eq!(s.orders(), [(a, ToWorker::Release(source))]);
    assert_eq!(s.run_all(), [source]);
    assert!(matches!(s.news()[..], [ToSession::Done { local: 0, .. }]));
}

#[test]
fn what_cannot_be_made_again_is_given_up_only_by_its_holder() {
    let mut s = TestState::new();
    let a = s.worker("a", 1);
    s.submit(vec![task().options(|o| o.idempotent = false)]);
    let (_, run, source) = s.assigned()[0];
    s.finish(a, run, 8);
    s.news();
    s.state.refetch(s.now, s.session, 0, 0, a, true);
    s.schedule();
    assert_eq!(s.orders(), [(a, ToWorker::Confirm(source))]);
    assert!(matches!(s.news()[..], [ToSession::Done { holder, .. }] if holder == a));
    s.state.copy_dropped(s.now, a, source);
    s.schedule();
    assert!(matches!(s.news()[..], [ToSession::Failed { local: 0, .. }]));
}

#[test]
fn nobody_reads_more_than_a_message_can_list() {
    let mut s = TestState::new();
    let refused = s.try_submit(vec![
        task().array(250_000).unwanted(),
        task().depends(Source::Local(0), Members::All, Output::Fixed(0)),
    ]);
    let Err(SubmitError::Limit(sentence)) = refused else { panic!("{refused:?}") };
    assert!(sentence.contains("reads more outputs than one task may"), "{sentence}");
}

#[test]
fn members_are_named_by_the_index_that_people_count() {
    let mut s = TestState::new();
    s.submit(vec![task().key("cubes").array(10).first_index(100)]);
    let explained = s.state.explain("cubes[107]").unwrap();
    assert_eq!((explained.task.key.as_str(), explained.task.id.as_str()), ("cubes[107]", "0.7"));
    assert!(s.state.explain("cubes[7]").is_none());
}

#[test]
fn readers_of_a_value_that_is_never_written_fail_with_it() {
    let mut s = TestState::new();
    s.worker("a", 1);
    s.state.put(s.now, s.session, 0, "value".into(), 8, 1).unwrap();
    s.next = 1;
    s.submit(vec![task().reads(0)]);
    s.pass(3_600_000_000);
    assert!(s.state.failure(s.session, 1, 0).is_none(), "its client may still write it");
    s.release(0);
    s.pass(3_600_000_000);
    let failure = s.state.failure(s.session, 1, 0).unwrap();
    assert!(failure.message.contains("given up by its client"), "{failure:?}");
}
