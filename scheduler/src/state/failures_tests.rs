//! What fails together costs one failure.

use dasklet_core::{DeathCause, ErrorClass};

use super::{
    Action, LocalRange, Members, ToSession,
    testing::{TestState, task},
};

const MANY: u32 = 10_000_000;

fn part(start: u32, end: u32) -> LocalRange {
    LocalRange { local: 0, start, end, count: 1 }
}

#[test]
fn cancelling_a_long_array_costs_nothing_for_each_member() {
    let mut s = TestState::new();
    // Without walks over all members after each step.
    let tasks =
        vec![task().array(MANY).0, task().array(MANY).reads_members(0, Members::SameIndex).0];
    s.state.submit(s.now, s.session, 0, 0, vec![Default::default()], tasks).unwrap();
    s.state.cancel(s.now, s.session, part(1000, 1001));
    s.state.cancel(s.now, s.session, part(0, 0));
    s.state.schedule(s.now);
    s.state.take_actions(&mut s.actions);
    let news: Vec<&Action> =
        s.actions.iter().filter(|action| matches!(action, Action::Session(..))).collect();
    assert!(news.len() <= 6, "{news:?}");
    for local in 0..2 {
        let (_, id, _) = s.state.described(s.session, local, local + 1).next().unwrap();
        assert!(s.state.failures[&id].entries() <= 3);
        let array = s.state.specs.get(id).unwrap().array().unwrap();
        assert!(array.members.live_chunks() <= 1);
        for index in [0, 999, 1000, 1001, MANY - 1] {
            let failure = s.state.failure(s.session, local, index).unwrap();
            assert_eq!(failure.class, ErrorClass::Cancelled);
            assert_eq!(failure.origin.is_some(), local == 1);
        }
    }
    // And so does its release.
    s.state.release(s.now, s.session, LocalRange { count: 2, ..part(0, 0) });
    assert_eq!(s.state.specs.live(), 0);
    s.schedule();
}

#[test]
fn a_part_is_cancelled_and_the_rest_runs() {
    let mut s = TestState::new();
    s.worker("a", 8);
    s.submit(vec![task().array(2000), task().array(1500).reads_members(0, Members::SameIndex)]);
    s.state.cancel(s.now, s.session, part(100, 1100));
    s.schedule();
    s.run_all();
    let (mut done, mut failed) = ([0; 2], [0; 2]);
    for news in s.news() {
        match news {
            ToSession::Done { local, index, .. } => {
                assert!(!(100..1100).contains(&index));
                done[local as usize] += 1;
            }
            ToSession::Failed { local, index } => {
                assert!((100..1100).contains(&index));
                failed[local as usize] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((done, failed), ([1000, 500], [1000, 1000]));
}

#[test]
fn readers_of_single_members_fail_with_theirs() {
    let mut s = TestState::new();
    let one = |member| task().reads_members(0, Members::One(member));
    s.submit(vec![task().array(600), one(5), one(300), one(599)]);
    s.state.cancel(s.now, s.session, part(256, 512));
    s.schedule();
    let failed: Vec<u64> = [1, 2, 3]
        .into_iter()
        .filter(|local| s.state.failure(s.session, *local, 0).is_some())
        .collect();
    assert_eq!(failed, [2]);
    assert!(s.state.failure(s.session, 0, 255).is_none());
    assert!(s.state.failure(s.session, 0, 511).is_some());
}

#[test]
fn a_cancelled_task_that_was_tried_keeps_its_attempts() {
    let mut s = TestState::new();
    s.submit(vec![task().array(3)]);
    let w = s.worker("a", 1);
    let runs = s.assigned();
    s.start(w, runs[0].1);
    s.lose(w, DeathCause::OomKilled);
    s.cancel(0);
    let attempts =
        [0, 1, 2].map(|index| s.state.failure(s.session, 0, index).unwrap().attempts.len());
    assert_eq!(attempts, [1, usize::from(runs.len() > 1), 0]);
}

#[test]
fn what_only_cancelled_members_read_goes_with_them_as_a_whole() {
    let mut s = TestState::new();
    let tasks = vec![
        task().array(MANY).unwanted().0,
        task().array(MANY).reads_members(0, Members::SameIndex).0,
    ];
    let ids = s.state.submit(s.now, s.session, 0, 0, vec![Default::default()], tasks).unwrap();
    s.state.cancel(s.now, s.session, LocalRange { local: 1, ..part(0, 0) });
    let source = s.state.specs.get(ids[0]).unwrap();
    assert_eq!((source.pending, source.array().unwrap().members.live_chunks()), (0, 0));
    s.state.release(s.now, s.session, LocalRange { local: 1, ..part(0, 0) });
    assert_eq!(s.state.specs.live(), 0);
    s.schedule();
}

#[test]
fn an_untouched_array_is_released_as_a_whole() {
    let mut s = TestState::new();
    let tasks = vec![task().array(MANY).0];
    s.state.submit(s.now, s.session, 0, 0, vec![Default::default()], tasks).unwrap();
    s.state.release(s.now, s.session, part(0, 0));
    s.schedule();
    assert_eq!(s.state.specs.live(), 0);
    assert_eq!(s.state.progress(s.session, 0).unwrap().cancelled, u64::from(MANY));
}

#[test]
fn forgetting_many_readers_of_one_member_looks_at_each_a_few_times() {
    let mut s = TestState::new();
    let mut tasks = vec![task().array(2)];
    tasks.extend((0..1000).map(|_| task().reads_members(0, Members::One(1))));
    tasks.extend((0..1000).map(|_| task().array(2).reads_members(0, Members::SameIndex)));
    let source = s.submit(tasks)[0];
    for local in 1..2001 {
        s.cancel(local);
        s.release(local);
        if local % 100 == 0 {
            s.schedule();
        }
    }
    let array = s.state.specs.get(source).unwrap().array().unwrap();
    assert!(array.by_member.is_empty() && array.same_index.is_empty());
}
