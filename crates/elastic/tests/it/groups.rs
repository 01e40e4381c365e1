//! Several groups share one demand.

use std::collections::BTreeMap;

use dasklet_core::{
    Resources,
    demand::{ClassDemand, Demand, GroupLoad, Trial},
};
use dasklet_elastic::{
    Autoscale, GroupInput, GroupObservation, GroupPlan, GroupPolicy, plan_groups,
};

use crate::support::{NOW, SECOND, failed, serving, starting};

fn group(name: &str, priority: i32, max: u32, shape: &Resources) -> GroupPolicy {
    let autoscale = Autoscale { priority, ..Autoscale::between(0, max) };
    GroupPolicy::scaled(name, shape.clone(), autoscale)
}

fn class(resources: &Resources, ready: u64) -> ClassDemand {
    ClassDemand {
        resources: resources.clone(),
        ready,
        running: 0,
        waiting: 0,
        estimated_seconds: ready as f64,
        blocked: None,
    }
}

fn asks(classes: &[ClassDemand], trials: &[(&str, u32)]) -> Demand {
    let trials = trials
        .iter()
        .map(|(group, useful)| Trial { group: (*group).to_owned(), useful: *useful })
        .collect();
    Demand { classes: classes.to_vec(), trials, ..Demand::default() }
}

fn cpu() -> Resources {
    Resources::one_slot()
}

fn gpu() -> Resources {
    Resources::one_slot().with("GPU", 1000)
}

/// Plans groups that had made their first decision, of nothing, a second ago.
fn planned(groups: &[(GroupPolicy, GroupObservation)], demand: &Demand) -> Vec<GroupPlan> {
    let inputs: Vec<GroupInput<'_>> =
        groups.iter().map(|(policy, observed)| GroupInput { policy, observed }).collect();
    let mut histories = BTreeMap::new();
    let empty = GroupObservation::default();
    let first: Vec<GroupInput<'_>> =
        groups.iter().map(|(policy, _)| GroupInput { policy, observed: &empty }).collect();
    let _ = plan_groups(&first, None, &mut histories, NOW - SECOND);
    plan_groups(&inputs, Some(demand), &mut histories, NOW)
}

fn created(groups: &[(GroupPolicy, GroupObservation)], demand: &Demand) -> Vec<u32> {
    planned(groups, demand).iter().map(|plan| plan.create).collect()
}

#[test]
fn the_higher_priority_is_filled_first_and_the_rest_goes_on() {
    let none = GroupObservation::default;
    let demand = asks(&[class(&cpu(), 10)], &[("low", 10), ("high", 10)]);
    for (high_max, expected) in [(20, [0, 10]), (4, [6, 4]), (0, [10, 0])] {
        let groups =
            [(group("low", 0, 20, &cpu()), none()), (group("high", 5, high_max, &cpu()), none())];
        assert_eq!(created(&groups, &demand), expected, "high has at most {high_max}");
    }
}

#[test]
fn a_group_serves_only_what_fits_its_members() {
    let none = GroupObservation::default;
    let groups = [(group("cpu", 5, 20, &cpu()), none()), (group("gpu", 0, 20, &gpu()), none())];
    let only_gpu = asks(&[class(&gpu(), 6)], &[("cpu", 0), ("gpu", 6)]);
    assert_eq!(created(&groups, &only_gpu), [0, 6]);
    let mixed = asks(&[class(&cpu(), 6), class(&gpu(), 6)], &[("cpu", 6), ("gpu", 12)]);
    assert_eq!(created(&groups, &mixed), [6, 6]);
}

#[test]
fn a_group_whose_starts_fail_leaves_its_part_to_the_next() {
    let demand = asks(&[class(&cpu(), 4)], &[("first", 4), ("next", 4)]);
    let observed = GroupObservation { members: vec![failed("dead", false)] };
    let groups = [
        (group("first", 5, 9, &cpu()), observed),
        (group("next", 0, 9, &cpu()), GroupObservation::default()),
    ];
    let plans = planned(&groups, &demand);
    assert_eq!((plans[0].create, plans[0].withheld, plans[1].create), (0, 4, 4));
    assert!(plans[0].reason.contains("starts failed"), "{}", plans[0].reason);
}

#[test]
fn members_that_start_already_keep_their_part() {
    let demand = asks(&[class(&cpu(), 4)], &[("high", 4), ("low", 4)]);
    let observed = GroupObservation { members: vec![starting("a", 3), starting("b", 3)] };
    let groups = [
        (group("high", 5, 9, &cpu()), GroupObservation::default()),
        (group("low", 0, 9, &cpu()), observed),
    ];
    assert_eq!(created(&groups, &demand), [2, 0]);
}

#[test]
fn wanted_outputs_may_be_held_by_another_group() {
    let mut holder = serving("holder");
    holder.bytes_sole = 100;
    let mut demand = asks(&[], &[]);
    demand.groups = vec![
        GroupLoad { group: "a".to_owned(), members: 1, needed: 0, draining: 0 },
        GroupLoad { group: "b".to_owned(), members: 1, needed: 1, draining: 0 },
    ];
    let groups = [
        (group("a", 0, 9, &cpu()), GroupObservation { members: vec![holder] }),
        (group("b", 0, 9, &cpu()), GroupObservation { members: vec![serving("other")] }),
    ];
    let wants: Vec<bool> =
        planned(&groups, &demand).iter().map(|plan| plan.reason.contains("need")).collect();
    assert_eq!(wants, [false, true]);
}
