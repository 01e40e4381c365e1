//! What holds for any history of observations and demands.

use std::collections::HashSet;

use dasklet_elastic::{
    Behavior, GroupDemand, GroupHistory, GroupMember, GroupObservation, GroupPlan, GroupPolicy,
    Phase, plan_group,
};
use proptest::prelude::*;

use crate::support::{NOW, SECOND, scaled};

#[derive(Debug, Clone)]
struct Round {
    members: Vec<GroupMember>,
    demand: Option<GroupDemand>,
    after: u64,
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Pending),
        Just(Phase::Starting),
        (0..100u64).prop_map(|age| Phase::Serving { since_micros: NOW - age * SECOND }),
        (0..100u64).prop_map(|age| Phase::Serving { since_micros: NOW - age * SECOND }),
        (0..100u64, any::<bool>(), proptest::option::of(1..100u64)).prop_map(
            |(age, revocable, deadline)| Phase::Draining {
                since_micros: NOW - age * SECOND,
                deadline_micros: deadline.map(|seconds| NOW - age * SECOND + seconds * SECOND),
                revocable,
            }
        ),
        Just(Phase::Drained),
        any::<bool>().prop_map(|served| Phase::Failed { served }),
    ]
}

fn members() -> impl Strategy<Value = Vec<GroupMember>> {
    proptest::collection::vec((phase(), 0..400u64, 0..3u32, 0..1000u64, 0..2u64), 0..20).prop_map(
        |drawn| {
            let entries = drawn.into_iter().enumerate();
            entries
                .map(|(at, (phase, age, running, bytes_stored, sole))| GroupMember {
                    running,
                    bytes_stored,
                    bytes_sole: bytes_stored * sole,
                    ..GroupMember::new(&format!("m{at}"), "1", phase, NOW - age * SECOND)
                })
                .collect()
        },
    )
}

fn round() -> impl Strategy<Value = Round> {
    let asked = (0..25u32, 0..25u32, 0..25u32);
    (members(), proptest::option::of(asked), 0..60u64).prop_map(|(members, asked, after)| {
        let serving =
            members.iter().filter(|m| matches!(m.phase, Phase::Serving { .. })).count() as u32;
        let demand = asked.map(|(useful, needed, unseen)| {
            let seen = serving.saturating_sub(unseen / 12);
            GroupDemand { useful, needed: needed.min(seen), members: seen, ..Default::default() }
        });
        Round { members, demand, after: after * SECOND }
    })
}

fn policy() -> impl Strategy<Value = GroupPolicy> {
    (0..8u32, 0..12u32, any::<bool>(), 0..40u32).prop_map(|(min, more, kubernetes, window)| {
        let mut policy = scaled(min, min + more);
        if let Some(autoscale) = &mut policy.autoscale {
            if kubernetes {
                autoscale.behavior = Behavior::kubernetes();
            }
            autoscale.behavior.scale_down.stabilization_window_seconds = window;
        }
        policy
    })
}

struct Count {
    supply: u32,
    draining: HashSet<String>,
    ended: HashSet<String>,
}

fn count(members: &[GroupMember], policy: &GroupPolicy, now: u64) -> Count {
    let mut count = Count { supply: 0, draining: HashSet::new(), ended: HashSet::new() };
    for member in members {
        match member.phase {
            Phase::Pending | Phase::Starting
                if member.created_micros + policy.start_deadline_micros() <= now =>
            {
                count.ended.insert(member.name.clone());
            }
            Phase::Pending | Phase::Starting | Phase::Serving { .. } => count.supply += 1,
            Phase::Draining { .. } => {
                count.draining.insert(member.name.clone());
            }
            Phase::Drained | Phase::Failed { .. } => {
                count.ended.insert(member.name.clone());
            }
        }
    }
    count
}

/// Members that count as supply and are taken away by the plan.
fn shed(plan: &GroupPlan, count: &Count) -> u32 {
    let gone = plan.remove.iter().map(|removal| &removal.member.name);
    let gone = gone.filter(|name| !count.ended.contains(*name) && !count.draining.contains(*name));
    gone.count() as u32 + plan.drain.len() as u32
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn plans_keep_their_promises(policy in policy(), rounds in proptest::collection::vec(round(), 1..6)) {
        let autoscale = policy.autoscale.clone().unwrap();
        let mut history = GroupHistory::default();
        let mut now = NOW;
        for round in rounds {
            let observed = GroupObservation { members: round.members.clone() };
            let first = history.desired.is_none();
            let plan = plan_group(&policy, &observed, round.demand.as_ref(), &mut history, now);
            let count = count(&round.members, &policy, now);
            let shed = shed(&plan, &count);
            let added = plan.create + plan.undrain.len() as u32;

            // Never outside the minimum and the maximum, but that a blind plan never shrinks.
            prop_assert!(plan.desired >= autoscale.min_replicas);
            if round.demand.is_some() && !first {
                prop_assert!(plan.desired <= autoscale.max_replicas);
            }
            if added > 0 {
                prop_assert!(count.supply + added <= autoscale.max_replicas);
            }
            // Never more shed than the excess, and never both directions at once.
            prop_assert!(shed <= count.supply.saturating_sub(plan.desired));
            prop_assert!(shed == 0 || added == 0);
            // What is missing is made up for, or withheld.
            if count.supply < plan.desired {
                prop_assert_eq!(count.supply + added + plan.withheld, plan.desired);
            }
            // Draining is neither supply nor excess.
            for member in &plan.drain {
                prop_assert!(!count.draining.contains(&member.name));
            }
            // A blind plan takes nobody away.
            if round.demand.is_none() {
                prop_assert_eq!(shed, 0);
            }
            // Members that the work needs stay, but for the maximum.
            if let Some(demand) = &round.demand {
                let left = count.supply - shed;
                prop_assert!(left >= demand.needed.min(count.supply).min(autoscale.max_replicas));
            }
            now += round.after;
        }
    }

    #[test]
    fn draining_members_change_nothing_but_what_is_called_back(
        policy in policy(), round in round(), further in 1..5u64
    ) {
        let asked = round.demand.unwrap_or_default();
        let history = GroupHistory { desired: Some(4), ..GroupHistory::default() };
        let bare = GroupObservation { members: round.members.clone() };
        let mut with = bare.clone();
        for at in 0..further {
            let phase =
                Phase::Draining { since_micros: NOW, deadline_micros: None, revocable: false };
            with.members.push(GroupMember::new(&format!("d{at}"), "1", phase, NOW));
        }
        let one = plan_group(&policy, &bare, Some(&asked), &mut history.clone(), NOW);
        let other = plan_group(&policy, &with, Some(&asked), &mut history.clone(), NOW);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn planning_twice_changes_nothing(policy in policy(), round in round()) {
        let observed = GroupObservation { members: round.members.clone() };
        let mut history = GroupHistory { desired: Some(4), ..GroupHistory::default() };
        let first = plan_group(&policy, &observed, round.demand.as_ref(), &mut history, NOW);
        let second = plan_group(&policy, &observed, round.demand.as_ref(), &mut history, NOW);
        prop_assert_eq!(second.desired, first.desired);
        prop_assert_eq!(second.create, first.create);
        prop_assert_eq!(second.drain, first.drain);
        prop_assert_eq!(second.remove, first.remove);
    }
}
