//! One group's plans as tables.

use dasklet_elastic::{GroupHistory, GroupPolicy, Mode, Phase, plan::RemovalCause};

use crate::support::{
    NOW, SECOND, busy, demand, draining, failed, names, plan, plan_at, removed, scaled, serving,
    starting, without_window,
};

#[test]
fn a_new_group_gets_its_initial_size() {
    let fixed = GroupPolicy { replicas: Some(3), ..GroupPolicy::default() };
    let mut scaled_from_2 = scaled(0, 6);
    scaled_from_2.replicas = Some(2);
    for (policy, size) in [(fixed, 3), (scaled(0, 6), 0), (scaled(2, 6), 2), (scaled_from_2, 2)] {
        let plan = plan_at(&policy, &[], None, &mut GroupHistory::default(), NOW);
        assert_eq!((plan.desired, plan.create, plan.previous), (size, size, None));
    }
}

#[test]
fn after_the_initial_size_the_demand_is_looked_at_without_being_asked() {
    let mut history = GroupHistory::default();
    let asked = demand(0, 4, 0);
    let first = plan_at(&scaled(0, 6), &[], Some(&asked), &mut history, NOW);
    assert_eq!((first.create, first.requeue_after_micros), (0, Some(1)));
    let next = plan_at(&scaled(0, 6), &[], Some(&asked), &mut history, NOW + 1);
    assert_eq!((next.create, next.requeue_after_micros), (4, None));
}

#[test]
fn starting_members_are_supply() {
    let members = [serving("a"), starting("b", 10), starting("c", 10)];
    let plan = plan(&scaled(0, 10), &members, Some(&demand(1, 4, 1)), 3);
    assert_eq!((plan.desired, plan.create), (5, 2));
}

#[test]
fn draining_members_are_called_back_before_any_is_created() {
    let members = [serving("a"), draining("b", 50), draining("c", 5)];
    let called = plan(&scaled(0, 10), &members, Some(&demand(1, 1, 1)), 1);
    assert_eq!((names(&called.undrain), called.create), (vec!["c"], 0));
    let more = plan(&scaled(0, 10), &members, Some(&demand(1, 4, 1)), 1);
    assert_eq!((names(&more.undrain), more.create), (vec!["c", "b"], 2));
}

#[test]
fn a_member_that_leaves_by_itself_is_not_called_back() {
    let mut leaving = draining("b", 5);
    leaving.phase = Phase::Draining { since_micros: NOW, deadline_micros: None, revocable: false };
    let plan = plan(&scaled(0, 10), &[serving("a"), leaving], Some(&demand(1, 1, 1)), 2);
    assert_eq!((plan.undrain.len(), plan.create), (0, 1));
}

#[test]
fn the_cheapest_members_go_first() {
    let idle = |name: &str, bytes| busy(serving(name), 0, bytes);
    let members = [
        busy(serving("busy"), 1, 0),
        idle("large", 900),
        idle("small", 10),
        starting("young", 1),
        starting("old", 9),
    ];
    for (keep, drain, remove) in [
        (4, vec![], vec!["young"]),
        (3, vec![], vec!["young", "old"]),
        (2, vec!["small"], vec!["young", "old"]),
        (1, vec!["small", "large"], vec!["young", "old"]),
    ] {
        let plan = plan(&without_window(0, 9), &members, Some(&demand(keep, 0, 3)), 5);
        assert_eq!((names(&plan.drain), removed(&plan)), (drain, remove), "keep {keep}");
    }
}

#[test]
fn wanted_outputs_keep_a_holder() {
    let mut holder = busy(serving("holder"), 0, 900);
    holder.bytes_sole = 900;
    let members = [holder, busy(serving("empty"), 0, 0)];
    let kept = plan(&without_window(0, 9), &members, Some(&demand(0, 0, 2)), 2);
    assert_eq!((kept.desired, names(&kept.drain)), (1, vec!["empty"]));
    assert!(kept.reason.contains("need a holder"), "{}", kept.reason);
    let mut elsewhere = demand(0, 0, 2);
    elsewhere.holder_elsewhere = true;
    let moved = plan(&without_window(0, 9), &members, Some(&elsewhere), 2);
    assert_eq!((moved.desired, names(&moved.drain)), (0, vec!["empty", "holder"]));
}

#[test]
fn without_metrics_the_size_is_held_and_the_dead_are_replaced() {
    let members = [serving("a"), failed("b", true), serving("c")];
    let plan = plan(&without_window(0, 9), &members, None, 3);
    assert_eq!((plan.desired, plan.create, removed(&plan)), (3, 1, vec!["b"]));
    assert!(plan.drain.is_empty());
    assert!(plan.reason.contains("unknown"), "{}", plan.reason);
}

#[test]
fn a_dead_member_is_replaced_only_where_it_is_wanted() {
    let members = [serving("a"), failed("b", true), serving("c")];
    let wanted = plan(&scaled(0, 9), &members, Some(&demand(2, 1, 2)), 3);
    assert_eq!((wanted.desired, wanted.create), (3, 1));
    let unwanted = plan(&scaled(0, 9), &members, Some(&demand(1, 0, 2)), 3);
    assert_eq!((unwanted.desired, unwanted.create, unwanted.drain.len()), (1, 0, 1));
}

#[test]
fn advice_changes_nothing() {
    let mut policy = scaled(0, 9);
    policy.replicas = Some(2);
    policy.autoscale.as_mut().unwrap().mode = Mode::Advise;
    let members = [serving("a"), serving("b")];
    let plan = plan(&policy, &members, Some(&demand(2, 5, 2)), 2);
    assert_eq!((plan.desired, plan.advised), (2, Some(7)));
    assert!(plan.is_quiet());
}

#[test]
fn a_paused_group_keeps_its_size() {
    let mut policy = without_window(0, 9);
    policy.autoscale.as_mut().unwrap().mode = Mode::Paused;
    let members = [serving("a"), serving("b")];
    for asked in [demand(2, 5, 2), demand(0, 0, 2)] {
        let plan = plan(&policy, &members, Some(&asked), 2);
        assert!(plan.is_quiet() && plan.desired == 2);
    }
}

#[test]
fn a_suspended_group_is_drained_even_in_silence() {
    let mut policy = scaled(2, 9);
    policy.suspended = true;
    let plan = plan(&policy, &[serving("a"), starting("b", 1)], None, 2);
    assert_eq!((plan.desired, names(&plan.drain), removed(&plan)), (0, vec!["a"], vec!["b"]));
}

#[test]
fn what_is_finished_is_removed_and_says_why() {
    let mut drained = serving("drained");
    drained.phase = Phase::Drained;
    let members =
        [drained, starting("late", 301), failed("stillborn", false), failed("dead", true)];
    let plan = plan(&scaled(0, 9), &members, Some(&demand(0, 0, 0)), 0);
    let causes: Vec<_> = plan.remove.iter().map(|removal| removal.cause).collect();
    assert_eq!(
        causes,
        [
            RemovalCause::Drained,
            RemovalCause::StartDeadline,
            RemovalCause::FailedStart,
            RemovalCause::Dead
        ]
    );
}

#[test]
fn failed_starts_back_off_exponentially_and_serving_ends_it() {
    let policy = scaled(0, 9);
    let asked = demand(0, 3, 0);
    let mut history = GroupHistory { desired: Some(3), ..GroupHistory::default() };
    let mut now = NOW;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let mut dead = failed("dead", false);
        dead.created_micros = now;
        dead.instance = now.to_string();
        let plan = plan_at(&policy, &[dead], Some(&asked), &mut history, now);
        assert_eq!((plan.create, plan.withheld), (0, 3));
        assert_eq!(plan.requeue_after_micros, Some(wait * SECOND));
        let before = plan_at(&policy, &[], Some(&asked), &mut history, now + wait * SECOND - 1);
        assert_eq!(before.create, 0);
        now += wait * SECOND;
        assert_eq!(plan_at(&policy, &[], Some(&asked), &mut history, now).create, 3);
    }
    let mut healthy = serving("healthy");
    healthy.phase = Phase::Serving { since_micros: now + 1 };
    let _ = plan_at(&policy, &[healthy], Some(&asked), &mut history, now + 2);
    assert_eq!((history.failed_rounds, history.backoff_until_micros), (0, 0));
}

#[test]
fn members_of_one_batch_fail_in_one_round() {
    let mut history = GroupHistory { desired: Some(3), ..GroupHistory::default() };
    for (at, name) in [(0, "a"), (1, "b"), (2, "c")] {
        let now = NOW + at * SECOND / 10;
        let _ = plan_at(&scaled(0, 9), &[failed(name, false)], None, &mut history, now);
    }
    assert_eq!(history.failed_rounds, 1);
}

#[test]
fn a_history_survives_being_stored() {
    let mut history = GroupHistory::default();
    let _ =
        plan_at(&scaled(0, 9), &[failed("a", false)], Some(&demand(0, 3, 0)), &mut history, NOW);
    let _ = plan_at(&scaled(0, 9), &[], Some(&demand(0, 3, 0)), &mut history, NOW + SECOND);
    let text = serde_json::to_string(&history).unwrap();
    assert_eq!(serde_json::from_str::<GroupHistory>(&text).unwrap(), history);
}
