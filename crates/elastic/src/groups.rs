//! Several groups of one cluster: who serves which part of the demand.

use std::collections::BTreeMap;

use dasklet_core::{Resources, demand::Demand};

use crate::{
    demand::GroupDemand,
    history::GroupHistory,
    observation::GroupObservation,
    plan::{GroupPlan, plan_group},
    policy::GroupPolicy,
    starts::{Census, size},
};

/// One group of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct GroupInput<'a> {
    /// What its user wants.
    pub policy: &'a GroupPolicy,
    /// What is there.
    pub observed: &'a GroupObservation,
}

/// Plans all groups of one cluster, in the order of `groups`. The scheduler's trials tell for each
/// group alone how many members would get work; here a group of higher priority takes its part
/// first, and what it cannot serve (its maximum, a limit, failed starts) is left to the next.
/// Members already starting come before new ones of any group. Histories of groups that no longer
/// exist are dropped.
#[must_use]
pub fn plan_groups(
    groups: &[GroupInput<'_>],
    demand: Option<&Demand>,
    histories: &mut BTreeMap<String, GroupHistory>,
    now_micros: u64,
) -> Vec<GroupPlan> {
    histories.retain(|name, _| groups.iter().any(|group| group.policy.group == *name));
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(groups[*index].policy.priority()));

    let mut shares = demand.map(Shares::of);
    let mut parts: Vec<Option<GroupDemand>> = groups
        .iter()
        .map(|group| demand.map(|demand| part_of(demand, group.policy, groups)))
        .collect();
    let mut kept = vec![0u32; groups.len()];
    if let Some(shares) = &mut shares {
        for &index in &order {
            let census = Census::of(groups[index].observed, groups[index].policy, now_micros);
            let shape = &groups[index].policy.shape;
            let useful = parts[index].as_ref().map_or(0, |part| part.useful);
            let share = shares.rest_of(useful, shape);
            kept[index] = share.min(size(census.starting.len()));
            shares.take(kept[index], share, shape);
        }
    }

    let mut plans: Vec<Option<GroupPlan>> = vec![None; groups.len()];
    for &index in &order {
        let GroupInput { policy, observed } = groups[index];
        let mut further = 0;
        if let (Some(shares), Some(part)) = (&shares, &mut parts[index]) {
            further = shares.rest_of(part.useful, &policy.shape);
            part.useful = part.useful.min(kept[index].saturating_add(further));
            further = part.useful - kept[index].min(part.useful);
        }
        let history = histories.entry(policy.group.clone()).or_default();
        let plan = plan_group(policy, observed, parts[index].as_ref(), history, now_micros);
        if let Some(shares) = &mut shares {
            let served = plan.create.saturating_add(size(plan.undrain.len())).min(further);
            shares.take(served, further, &policy.shape);
        }
        plans[index] = Some(plan);
    }
    plans.into_iter().flatten().collect()
}

fn part_of(demand: &Demand, policy: &GroupPolicy, groups: &[GroupInput<'_>]) -> GroupDemand {
    let mut part = GroupDemand::of(demand, &policy.group, &policy.shape);
    part.holder_elsewhere = demand
        .groups
        .iter()
        .filter(|load| load.group != policy.group && load.needed > 0)
        .any(|load| groups.iter().any(|group| group.policy.group == load.group));
    part
}

/// How much of each class of tasks is not served by further members yet.
struct Shares<'a> {
    classes: Vec<Share<'a>>,
}

struct Share<'a> {
    resources: &'a Resources,
    weight: f64,
    rest: f64,
}

impl<'a> Shares<'a> {
    fn of(demand: &'a Demand) -> Self {
        let classes = demand
            .classes
            .iter()
            .filter(|class| class.ready > 0)
            .map(|class| Share {
                resources: &class.resources,
                weight: class.estimated_seconds.max(1e-3),
                rest: 1.0,
            })
            .collect();
        Self { classes }
    }

    /// The part of `useful` members of this shape that is still left to serve.
    fn rest_of(&self, useful: u32, shape: &Resources) -> u32 {
        let (mut all, mut rest) = (0.0, 0.0);
        for class in self.classes.iter().filter(|class| class.resources.times_in(shape) > 0) {
            all += class.weight;
            rest += class.weight * class.rest;
        }
        if all == 0.0 {
            return useful;
        }
        (f64::from(useful) * rest / all - 1e-6).ceil().max(0.0) as u32
    }

    /// `served` of the `share` members of this shape will be there.
    fn take(&mut self, served: u32, share: u32, shape: &Resources) {
        if share == 0 || served == 0 {
            return;
        }
        let left = 1.0 - f64::from(served) / f64::from(share);
        for class in &mut self.classes {
            if class.resources.times_in(shape) > 0 {
                class.rest *= left;
            }
        }
    }
}
