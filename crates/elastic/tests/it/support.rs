//! Short ways to say what is there.

use dasklet_core::{Resources, demand::MemberRef};
use dasklet_elastic::{
    Autoscale, GroupDemand, GroupHistory, GroupMember, GroupObservation, GroupPlan, GroupPolicy,
    Phase, plan_group,
};

pub const SECOND: u64 = 1_000_000;
/// A time at which all else has long begun.
pub const NOW: u64 = 10_000 * SECOND;

pub fn scaled(min: u32, max: u32) -> GroupPolicy {
    GroupPolicy::scaled("g", Resources::one_slot(), Autoscale::between(min, max))
}

pub fn without_window(min: u32, max: u32) -> GroupPolicy {
    let mut policy = scaled(min, max);
    if let Some(autoscale) = &mut policy.autoscale {
        autoscale.behavior.scale_down.stabilization_window_seconds = 0;
    }
    policy
}

pub fn serving(name: &str) -> GroupMember {
    let since_micros = NOW - 100 * SECOND;
    GroupMember::new(name, "1", Phase::Serving { since_micros }, NOW - 110 * SECOND)
}

pub fn starting(name: &str, age_seconds: u64) -> GroupMember {
    GroupMember::new(name, "1", Phase::Starting, NOW - age_seconds * SECOND)
}

pub fn draining(name: &str, age_seconds: u64) -> GroupMember {
    let since_micros = NOW - age_seconds * SECOND;
    let phase = Phase::Draining { since_micros, deadline_micros: None, revocable: true };
    GroupMember::new(name, "1", phase, NOW - 200 * SECOND)
}

pub fn failed(name: &str, served: bool) -> GroupMember {
    GroupMember::new(name, "1", Phase::Failed { served }, NOW - 5 * SECOND)
}

pub fn busy(mut member: GroupMember, running: u32, bytes: u64) -> GroupMember {
    member.running = running;
    member.bytes_stored = bytes;
    member
}

pub fn demand(needed: u32, useful: u32, members: u32) -> GroupDemand {
    let ready = u64::from(useful);
    let running = u64::from(needed);
    GroupDemand { needed, useful, members, ready, running, ..GroupDemand::default() }
}

pub fn plan_at(
    policy: &GroupPolicy,
    members: &[GroupMember],
    demand: Option<&GroupDemand>,
    history: &mut GroupHistory,
    now: u64,
) -> GroupPlan {
    let observed = GroupObservation { members: members.to_vec() };
    plan_group(policy, &observed, demand, history, now)
}

/// The plan of a group whose last decision was `desired`.
pub fn plan(
    policy: &GroupPolicy,
    members: &[GroupMember],
    demand: Option<&GroupDemand>,
    desired: u32,
) -> GroupPlan {
    let mut history = GroupHistory { desired: Some(desired), ..GroupHistory::default() };
    plan_at(policy, members, demand, &mut history, NOW)
}

pub fn names(members: &[MemberRef]) -> Vec<&str> {
    members.iter().map(|member| member.name.as_str()).collect()
}

pub fn removed(plan: &GroupPlan) -> Vec<&str> {
    plan.remove.iter().map(|removal| removal.member.name.as_str()).collect()
}
